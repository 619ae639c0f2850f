import Foundation

/// Reads a pickle as torch writes it (protocols 2 to 5) into a flat table of values. Nothing is ever executed: a global is a name from
/// a closed list or the file is refused by that name.
///
/// Values refer to each other by index, so that a pickle that nests a million levels deep, shares a value a billion times over or
/// contains itself costs no more than its own bytes, and nothing here recurses. (Python's Lib/pickletools.py describes every opcode.)
public struct Pickle {
  public enum Problem: Error, Equatable {
    case malformed(String)
    case refused(String)
  }

  /// A value, or the index of one.
  public enum Value: Equatable, Sendable {
    case none
    case bool(Bool)
    case int(Int)
    case double(Double)
    case text(Int)
    /// Tuples, lists and sets, by their index in `sequences`.
    case tuple(Int)
    case list(Int)
    /// Index in `dictionaries`.
    case dictionary(Int)
    case global(Global)
    /// Index in `storages`.
    case storage(Int)
    /// Index in `tensors`.
    case tensor(Int)
    /// Something harmless that nobody needs: callbacks, numpy scalars, byte strings.
    case inert
  }

  /// The names a pickle may mention.
  public enum Global: Equatable, Sendable {
    case orderedDictionary
    case rebuildTensor
    case rebuildParameter
    case size
    case storageType(DType)
    case inert
  }

  /// Numbers in a separate entry of the archive.
  public struct Storage: Equatable, Sendable {
    public let dtype: DType
    public let key: String
    /// Elements.
    public let count: Int
  }

  public struct Tensor: Equatable, Sendable {
    public let storage: Int
    /// All in elements.
    public let offset: Int
    public let shape: [Int]
    public let strides: [Int]
  }

  public private(set) var texts: [String] = []
  public private(set) var sequences: [[Value]] = []
  public private(set) var dictionaries: [[(key: Value, value: Value)]] = []
  public private(set) var storages: [Storage] = []
  public private(set) var tensors: [Tensor] = []
  /// What the pickle stands for.
  public private(set) var root: Value = .none
  /// Bytes up to its end; what follows is another matter.
  public var byteCount: Int { at }

  static let maximumBytes = 64 << 20
  /// Operations and copied items: bounds time and memory whatever the pickle says.
  private static let maximumOperations = 2_000_000
  private static let maximumTensors = 200_000
  private static let maximumDimensions = 16

  private let bytes: UnsafeRawBufferPointer
  private var at = 0
  private var spent = 0
  private var stack: [Value] = []
  private var marks: [Int] = []
  private var memo: [Int: Value] = [:]

  /// - Throws: `Pickle.Problem`.
  public init(_ bytes: UnsafeRawBufferPointer) throws {
    guard bytes.count <= Self.maximumBytes else {
      throw Problem.malformed("\(bytes.count) bytes, expected at most \(Self.maximumBytes)")
    }
    self.bytes = bytes
    while try step() { try spend(1) }
    stack = []
    memo = [:]
  }

  private mutating func spend(_ operations: Int) throws {
    spent += operations
    guard spent <= Self.maximumOperations else { throw Problem.malformed("more than \(Self.maximumOperations) operations") }
  }

  // MARK: - The machine

  /// Runs one operation; false at the end.
  private mutating func step() throws -> Bool {
    let opcode = try byte()
    switch opcode {
    case 0x80:  // PROTO
      let version = try byte()
      guard (2...5).contains(version) else { throw Problem.malformed("protocol \(version), expected 2 to 5") }
    case 0x95: _ = try take(8)  // FRAME: how much to read ahead
    case 0x2e:  // STOP
      root = try pop()
      return false
    case 0x28: marks.append(stack.count)  // MARK
    case 0x30: if stack.count > floor { stack.removeLast() } else { _ = try popMark() }  // POP
    case 0x31: _ = try popMark()  // POP_MARK
    case 0x32: stack.append(try top())  // DUP
    case 0x4e: stack.append(.none)  // NONE
    case 0x88: stack.append(.bool(true))  // NEWTRUE
    case 0x89: stack.append(.bool(false))  // NEWFALSE
    case 0x4a: stack.append(.int(Int(Int32(truncatingIfNeeded: try little(4)))))  // BININT
    case 0x4b: stack.append(.int(try little(1)))  // BININT1
    case 0x4d: stack.append(.int(try little(2)))  // BININT2
    case 0x8a: stack.append(try long(try little(1)))  // LONG1
    case 0x8b: stack.append(try long(try little(4)))  // LONG4
    case 0x47:  // BINFLOAT, big-endian
      let raw = try take(8)
      stack.append(.double(Double(bitPattern: raw.reduce(0) { $0 << 8 | UInt64($1) })))
    case 0x58: try text(try little(4))  // BINUNICODE
    case 0x8c: try text(try little(1))  // SHORT_BINUNICODE
    case 0x8d: try text(try little(8))  // BINUNICODE8
    case 0x54: try text(try little(4), strict: false)  // BINSTRING, from Python 2
    case 0x55: try text(try little(1), strict: false)  // SHORT_BINSTRING
    case 0x42: try skipBytes(try little(4))  // BINBYTES
    case 0x43: try skipBytes(try little(1))  // SHORT_BINBYTES
    case 0x8e, 0x96: try skipBytes(try little(8))  // BINBYTES8, BYTEARRAY8
    case 0x29: push(tuple: [])  // EMPTY_TUPLE
    case 0x85: push(tuple: try pop(1))  // TUPLE1
    case 0x86: push(tuple: try pop(2))  // TUPLE2
    case 0x87: push(tuple: try pop(3))  // TUPLE3
    case 0x74: push(tuple: try popMark())  // TUPLE
    case 0x5d, 0x8f: push(list: [])  // EMPTY_LIST, EMPTY_SET
    case 0x6c, 0x91: push(list: try popMark())  // LIST, FROZENSET
    case 0x61: try extend(with: try pop(1))  // APPEND
    case 0x65, 0x90: try extend(with: try popMark())  // APPENDS, ADDITEMS
    case 0x7d: push(dictionary: [])  // EMPTY_DICT
    case 0x64: push(dictionary: try pairs(try popMark()))  // DICT
    case 0x73: try set(try pop(2))  // SETITEM
    case 0x75: try set(try popMark())  // SETITEMS
    case 0x63: stack.append(.global(try Self.global(try line(), try line())))  // GLOBAL
    case 0x93:  // STACK_GLOBAL
      let names = try pop(2)
      guard let module = text(names[0]), let name = text(names[1]) else { throw Problem.malformed("a global whose name is no text") }
      stack.append(.global(try Self.global(module, name)))
    case 0x52: try call(try pop(2))  // REDUCE
    case 0x81: try make(try pop(2))  // NEWOBJ
    case 0x92: try make(try pop(3))  // NEWOBJ_EX
    case 0x62:  // BUILD: only a dictionary's attributes and inert values have a state
      _ = try pop()
      switch try top() {
      case .inert, .dictionary: break
      default: throw Problem.malformed("a state for something that has none")
      }
    case 0x51: try persistent(try pop())  // BINPERSID
    case 0x68: try get(try little(1))  // BINGET
    case 0x6a: try get(try little(4))  // LONG_BINGET
    case 0x71: memo[try little(1)] = try top()  // BINPUT
    case 0x72: memo[try little(4)] = try top()  // LONG_BINPUT
    case 0x94: memo[memo.count] = try top()  // MEMOIZE
    default: throw Problem.refused("opcode 0x\(String(opcode, radix: 16))")
    }
    return true
  }

  /// Values below the last mark are out of reach.
  private var floor: Int { marks.last ?? 0 }

  private func top() throws -> Value {
    guard stack.count > floor, let value = stack.last else { throw Problem.malformed("a value is missing at byte \(at)") }
    return value
  }

  private mutating func pop() throws -> Value {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func pop(_ count: Int) throws -> [Value] {
    guard stack.count - floor >= count else { throw Problem.malformed("a value is missing at byte \(at)") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popMark() throws -> [Value] {
    guard let mark = marks.popLast() else { throw Problem.malformed("a mark is missing at byte \(at)") }
    defer { stack.removeSubrange(mark...) }
    return Array(stack[mark...])
  }

  // MARK: - Bytes

  private mutating func take(_ count: Int) throws -> Slice<UnsafeRawBufferPointer> {
    guard count >= 0, count <= bytes.count - at else { throw Problem.malformed("cut short at byte \(at)") }
    defer { at += count }
    return bytes[at..<at + count]
  }

  private mutating func byte() throws -> UInt8 {
    guard at < bytes.count else { throw Problem.malformed("cut short at byte \(at)") }
    defer { at += 1 }
    return bytes[at]
  }

  /// An unsigned little-endian number of `size` bytes.
  private mutating func little(_ size: Int) throws -> Int {
    let value = try take(size).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard let number = Int(exactly: value) else { throw Problem.malformed("a length beyond 63 bits") }
    return number
  }

  /// A signed number of any size; beyond 64 bits nobody needs its value.
  private mutating func long(_ size: Int) throws -> Value {
    let raw = try take(size)
    guard let last = raw.last else { return .int(0) }
    guard size <= 8 else { return .inert }
    let start: UInt64 = last & 0x80 == 0 ? 0 : .max
    return .int(Int(truncatingIfNeeded: raw.reversed().reduce(start) { $0 << 8 | UInt64($1) }))
  }

  private mutating func line() throws -> String {
    let start = at
    while try byte() != 0x0a { if at - start > 1024 { throw Problem.malformed("a name of more than 1024 bytes") } }
    guard let text = String(validating: bytes[start..<at - 1], as: UTF8.self) else { throw Problem.malformed("a name that is not UTF-8") }
    return text
  }

  private mutating func text(_ size: Int, strict: Bool = true) throws {
    let raw = try take(size)
    if let text = String(validating: raw, as: UTF8.self) {
      stack.append(.text(texts.count))
      texts.append(text)
    } else if strict {
      throw Problem.malformed("a text that is not UTF-8 at byte \(at)")
    } else {
      stack.append(.inert)
    }
  }

  private mutating func skipBytes(_ size: Int) throws {
    _ = try take(size)
    stack.append(.inert)
  }

  // MARK: - Containers

  private mutating func push(tuple values: [Value]) {
    stack.append(.tuple(sequences.count))
    sequences.append(values)
  }

  private mutating func push(list values: [Value]) {
    stack.append(.list(sequences.count))
    sequences.append(values)
  }

  private mutating func push(dictionary pairs: [(key: Value, value: Value)]) {
    stack.append(.dictionary(dictionaries.count))
    dictionaries.append(pairs)
  }

  private mutating func extend(with values: [Value]) throws {
    switch try top() {
    case .list(let index): sequences[index] += values
    case .inert: break
    default: throw Problem.malformed("an item for something that is no list")
    }
  }

  private mutating func set(_ flat: [Value]) throws {
    let pairs = try pairs(flat)
    switch try top() {
    case .dictionary(let index): dictionaries[index] += pairs
    case .inert: break
    default: throw Problem.malformed("a key for something that is no dictionary")
    }
  }

  private func pairs(_ flat: [Value]) throws -> [(key: Value, value: Value)] {
    guard flat.count % 2 == 0 else { throw Problem.malformed("a key without a value") }
    return stride(from: 0, to: flat.count, by: 2).map { (flat[$0], flat[$0 + 1]) }
  }

  private mutating func get(_ index: Int) throws {
    guard let value = memo[index] else { throw Problem.malformed("memo \(index) is empty") }
    stack.append(value)
  }

  // MARK: - Names and calls

  private static let inertNames: Set<String> = [
    "_codecs.encode", "numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "torch.device",
    "torch.serialization._get_layout", "torch.float32", "torch.float16", "torch.bfloat16", "torch.float64", "torch.int64", "torch.int32",
  ]

  private static let storageTypes: [String: DType] = [
    "torch.DoubleStorage": .float64, "torch.FloatStorage": .float32, "torch.HalfStorage": .float16, "torch.BFloat16Storage": .bfloat16,
    "torch.LongStorage": .int64, "torch.IntStorage": .int32, "torch.ShortStorage": .int16, "torch.CharStorage": .int8,
    "torch.ByteStorage": .uint8, "torch.BoolStorage": .bool, "torch.storage.UntypedStorage": .uint8,
  ]

  private static func global(_ module: String, _ name: String) throws -> Global {
    let full = "\(module).\(name)"
    switch full {
    case "collections.OrderedDict": return .orderedDictionary
    case "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor": return .rebuildTensor
    case "torch._utils._rebuild_parameter": return .rebuildParameter
    case "torch.Size": return .size
    default: break
    }
    if let dtype = storageTypes[full] { return .storageType(dtype) }
    if inertNames.contains(full) || module.hasPrefix("pytorch_lightning.") || module.hasPrefix("lightning.") { return .inert }
    throw Problem.refused("global \(full)")
  }

  /// NEWOBJ: a class and the arguments of its constructor.
  private mutating func make(_ parts: [Value]) throws {
    guard parts[0] == .global(.inert) else { throw Problem.refused("an object of a class that is not on the list") }
    stack.append(.inert)
  }

  /// REDUCE: a function and its arguments.
  private mutating func call(_ parts: [Value]) throws {
    guard case .global(let function) = parts[0], case .tuple(let index) = parts[1] else {
      throw Problem.refused("a call of something that is no known function")
    }
    let arguments = sequences[index]
    switch function {
    case .inert: stack.append(.inert)
    case .orderedDictionary:
      // Python 2 gave the pairs as a list of lists.
      var pairs: [(key: Value, value: Value)] = []
      if let first = arguments.first, let items = sequence(first) {
        // The one place where a short pickle could make much out of a list that it mentions again and again.
        try spend(items.count)
        for item in items {
          guard let pair = sequence(item), pair.count == 2 else { throw Problem.malformed("an OrderedDict of something else than pairs") }
          pairs.append((pair[0], pair[1]))
        }
      }
      push(dictionary: pairs)
    case .size:
      guard let first = arguments.first, let sizes = sequence(first), sizes.count <= Self.maximumDimensions else {
        throw Problem.malformed("a torch.Size of no short sequence")
      }
      push(tuple: sizes)
    case .rebuildParameter:
      guard let first = arguments.first, case .tensor = first else { throw Problem.malformed("a parameter that is no tensor") }
      stack.append(first)
    case .rebuildTensor:
      guard arguments.count >= 4, case .storage(let storage) = arguments[0], case .int(let offset) = arguments[1],
        let shape = wholes(arguments[2]), let strides = wholes(arguments[3]), offset >= 0, shape.count == strides.count
      else { throw Problem.malformed("a tensor without storage, offset, shape and strides") }
      guard tensors.count < Self.maximumTensors else { throw Problem.malformed("more than \(Self.maximumTensors) tensors") }
      stack.append(.tensor(tensors.count))
      tensors.append(Tensor(storage: storage, offset: offset, shape: shape, strides: strides))
    case .storageType: throw Problem.refused("a call of a storage type")
    }
  }

  /// BINPERSID: `("storage", type, key, device, elements)`; before torch 1.6 with a sixth part, which is none for a storage that is no part of another.
  private mutating func persistent(_ id: Value) throws {
    guard let parts = sequence(id), parts.count >= 5, text(parts[0]) == "storage", case .global(.storageType(let dtype)) = parts[1],
      let key = text(parts[2]), case .int(let count) = parts[4], count >= 0, parts.count == 5 || parts[5] == .none
    else { throw Problem.refused("a persistent id other than torch's storage") }
    guard storages.count < Self.maximumTensors else { throw Problem.malformed("more than \(Self.maximumTensors) storages") }
    stack.append(.storage(storages.count))
    storages.append(Storage(dtype: dtype, key: key, count: count))
  }

  // MARK: - Looking at values

  public func text(_ value: Value) -> String? {
    if case .text(let index) = value { texts[index] } else { nil }
  }

  public func sequence(_ value: Value) -> [Value]? {
    switch value {
    case .tuple(let index), .list(let index): sequences[index]
    default: nil
    }
  }

  public func dictionary(_ value: Value) -> [(key: Value, value: Value)]? {
    if case .dictionary(let index) = value { dictionaries[index] } else { nil }
  }

  /// A few numbers that are not negative.
  private func wholes(_ value: Value) -> [Int]? {
    guard let values = sequence(value), values.count <= Self.maximumDimensions else { return nil }
    let numbers = values.compactMap { if case .int(let n) = $0, n >= 0 { n } else { nil as Int? } }
    return numbers.count == values.count ? numbers : nil
  }
}
