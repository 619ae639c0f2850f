/// Byte-pair encoding of one piece of text with CLIP's end-of-word mark, as the tokenizers library's `BPE` with
/// `end_of_word_suffix = "</w>"` and `fuse_unk = false` (Sennrich et al., ACL 2016; byte level as GPT-2).
struct BytePairs: Sendable {
  /// Ids of the 256 bytes' stand-ins inside a word; nil where the vocabulary has none.
  let inner: [Int?]
  /// The same at the end of a word (`a</w>`).
  let last: [Int?]
  /// Stands for a byte that the vocabulary cannot write; nil leaves such bytes out.
  let unknown: Int?
  /// Rank of a pair of ids; the lowest rank merges first.
  private let ranks: [UInt64: UInt32]
  /// What the merge of each rank makes.
  private let merged: [Int32]

  static let endOfWord = "</w>"

  /// The printable stand-ins for the 256 bytes (GPT-2's `bytes_to_unicode`): printable Latin-1 stands for itself, the
  /// rest for U+0100 and following in order.
  static let standIns: [Unicode.Scalar] = {
    var next: UInt32 = 0x100
    return (0..<256).map { byte in
      if (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || (0xae...0xff).contains(byte) { return Unicode.Scalar(UInt8(byte)) }
      defer { next += 1 }
      return Unicode.Scalar(next) ?? "?"
    }
  }()

  /// - Parameters:
  ///   - vocabulary: id of each token, by its UTF-8 (bytes, since Swift's strings compare by canonical equivalence).
  ///   - merges: left, right and merged id in order of rank; of equal pairs the later one counts, as in the backend.
  init(vocabulary: [ArraySlice<UInt8>: Int], merges: [(left: Int, right: Int, merged: Int)], unknown: Int?) {
    inner = Self.standIns.map { vocabulary[ArraySlice(Array(String($0).utf8))] }
    last = Self.standIns.map { vocabulary[ArraySlice(Array((String($0) + Self.endOfWord).utf8))] }
    self.unknown = unknown
    var ranks: [UInt64: UInt32] = Dictionary(minimumCapacity: merges.count)
    for (rank, merge) in merges.enumerated() { ranks[Self.key(merge.left, merge.right)] = UInt32(truncatingIfNeeded: rank) }
    self.ranks = ranks
    merged = merges.map { Int32(truncatingIfNeeded: $0.merged) }
  }

  private static func key(_ left: Int, _ right: Int) -> UInt64 {
    UInt64(UInt32(truncatingIfNeeded: left)) << 32 | UInt64(UInt32(truncatingIfNeeded: right))
  }

  /// A token under construction: a linked list through an array, so that a merge moves nothing.
  private struct Symbol {
    var id: Int
    var bytes: Range<Int>
    var previous: Int
    var next: Int
    var isGone = false
  }

  /// Tokens of one piece, with the bytes each covers. Takes O(n log n) for n bytes.
  func encode(_ bytes: ArraySlice<UInt8>) -> [(id: Int, bytes: Range<Int>)] {
    var symbols: [Symbol] = []
    symbols.reserveCapacity(bytes.count)
    for (k, byte) in bytes.enumerated() {
      guard let id = (k == bytes.count - 1 ? last : inner)[Int(byte)] ?? unknown else { continue }
      symbols.append(Symbol(id: id, bytes: k..<k + 1, previous: symbols.count - 1, next: symbols.count + 1))
    }
    if symbols.count > 1 { merge(&symbols) }
    return symbols.lazy.filter { !$0.isGone }.map { ($0.id, $0.bytes) }
  }

  private func rank(_ left: Int, _ right: Int) -> UInt32? { ranks[Self.key(left, right)] }

  /// Merges as the backend does: from a queue of pairs by rank, then by place. An entry is out of date when its pair no longer makes
  /// the same token.
  private func merge(_ symbols: inout [Symbol]) {
    var queue = MinQueue()
    for k in 1..<symbols.count { if let r = rank(symbols[k - 1].id, symbols[k].id) { queue.insert(UInt64(r) << 32 | UInt64(k - 1)) } }
    while let top = queue.popMin() {
      let (r, at) = (Int(top >> 32), Int(top & 0xffff_ffff))
      let right = symbols[at].next
      guard !symbols[at].isGone, right < symbols.count, let current = rank(symbols[at].id, symbols[right].id),
        merged[Int(current)] == merged[r]
      else { continue }
      symbols[at].id = Int(merged[r])
      symbols[at].bytes = symbols[at].bytes.lowerBound..<symbols[right].bytes.upperBound
      symbols[at].next = symbols[right].next
      symbols[right].isGone = true
      let (before, after) = (symbols[at].previous, symbols[at].next)
      if before >= 0, let r = rank(symbols[before].id, symbols[at].id) { queue.insert(UInt64(r) << 32 | UInt64(before)) }
      if after < symbols.count {
        symbols[after].previous = at
        if let r = rank(symbols[at].id, symbols[after].id) { queue.insert(UInt64(r) << 32 | UInt64(at)) }
      }
    }
  }
}

/// A binary heap of integers, smallest first.
private struct MinQueue {
  private var heap: [UInt64] = []

  mutating func insert(_ value: UInt64) {
    heap.append(value)
    var k = heap.count - 1
    while k > 0, heap[(k - 1) / 2] > value {
      heap.swapAt(k, (k - 1) / 2)
      k = (k - 1) / 2
    }
  }

  mutating func popMin() -> UInt64? {
    guard let top = heap.first, let moved = heap.popLast() else { return nil }
    if heap.isEmpty { return top }
    heap[0] = moved
    var k = 0
    while true {
      var child = 2 * k + 1
      guard child < heap.count else { return top }
      if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
      if heap[child] >= moved { return top }
      heap.swapAt(k, child)
      k = child
    }
  }
}
