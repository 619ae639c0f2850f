import Testing

@testable import Engine

@Suite struct TensorTests {
  @Test func writingCopiesOnlyWhenShared() {
    var a = Tensor([1, 2, 3, 4], [2, 2])
    let before = a.data
    a.withUnsafeMutableBuffer { $0[0] = 9 }
    #expect(a.data == before)
    let b = a
    a.withUnsafeMutableBuffer { $0[0] = 7 }
    #expect(a.array == [7, 2, 3, 4])
    #expect(b.array == [9, 2, 3, 4])
  }

  @Test func layoutsRoundTrip() {
    let x = Tensor((0..<24).map(Float.init), [1, 2, 3, 4])
    #expect(x.nchw().shape == [1, 4, 2, 3])
    #expect(x.nchw().nhwc().array == x.array)
    #expect(x.nchw().array[1] == 4)
  }
}
