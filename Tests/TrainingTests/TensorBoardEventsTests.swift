import Foundation
import TestSupport
import Testing

@testable import Training

@Suite struct TensorBoardEventsTests {
  /// The bytes that TensorBoard's own writer made, and its reader read.
  @Test func asTensorBoardWrites() throws {
    var data = TensorBoardEvents.head(time: 1_700_000_000.25)
    data += TensorBoardEvents.start(time: 1_700_000_001.5, step: 301)
    data += TensorBoardEvents.scalars(
      time: 1_700_000_002, step: 301, [(tag: "loss/training", value: 0.1), (tag: "learning rate", value: 2e-4), (tag: "zero", value: 0)])
    data += TensorBoardEvents.picture(
      time: 1_700_000_003, step: 1 << 40, tag: "samples", width: 70000, height: 200, png: Data((0..<512).map { UInt8($0 & 255) }))
    #expect(data == (try Data(contentsOf: Golden.folder.appendingPathComponent("tensorboard/events.bin"))))
  }

  /// RFC 3720, appendix B.4, and the check value of the catalogues.
  @Test func checksum() {
    #expect(TensorBoardEvents.crc32c(Data(repeating: 0, count: 32)) == 0x8a91_36aa)
    #expect(TensorBoardEvents.crc32c(Data(repeating: 255, count: 32)) == 0x62a8_ab43)
    #expect(TensorBoardEvents.crc32c(Data("123456789".utf8)) == 0xe306_9283)
  }
}
