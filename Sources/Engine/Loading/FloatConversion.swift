import Synchronization

/// Stored numbers as Float32: exact for F16 and BF16 (subnormals included), rounded to nearest for F64.
enum FloatConversion {
  /// Converts `count` numbers, which need not be aligned.
  ///
  /// - Returns: false when a result is NaN or infinite.
  static func convert(_ source: UnsafeRawPointer, _ dtype: DType, count: Int, to target: UnsafeMutablePointer<Float>) -> Bool {
    switch dtype {
    case .float32: convert(source, count, target, SIMD8<UInt32>.self, UInt32.self, { $0 }, { $0 })
    case .float16:
      convert(source, count, target, SIMD8<UInt16>.self, UInt16.self, widened(halves:), { Float(Float16(bitPattern: $0)).bitPattern })
    case .bfloat16:
      convert(source, count, target, SIMD8<UInt16>.self, UInt16.self, { SIMD8(truncatingIfNeeded: $0) &<< 16 }, { UInt32($0) << 16 })
    case .float64:
      convert(
        source, count, target, SIMD8<Double>.self, Double.self, { unsafeBitCast(SIMD8<Float>($0), to: SIMD8<UInt32>.self) },
        { Float($0).bitPattern })
    default: preconditionFailure("\(dtype) is no type for weights")
    }
  }

  /// False when one of `count` Float32 values is NaN or infinite.
  static func isFinite(_ values: UnsafePointer<Float>, count: Int) -> Bool {
    largestBits(UnsafeRawPointer(values), count, size: 4) < UInt32(infinity)
  }

  /// The largest magnitude among `count` stored numbers, without converting them; infinity when one is infinite or NaN.
  static func largestMagnitude(_ source: UnsafeRawPointer, _ dtype: DType, count: Int) -> Float {
    // As integers without the sign bit, numbers of one type are in the order of their magnitudes.
    switch dtype {
    case .float16:
      let bits = UInt16(largestBits(source, count, size: 2))
      return bits >= 0x7c00 ? .infinity : Float(Float16(bitPattern: bits))
    case .bfloat16:
      let bits = largestBits(source, count, size: 2)
      return bits >= 0x7f80 ? .infinity : Float(bitPattern: bits << 16)
    case .float32:
      let bits = largestBits(source, count, size: 4)
      return bits >= UInt32(infinity) ? .infinity : Float(bitPattern: bits)
    default:
      let values = Storage(count: count)
      return convert(source, dtype, count: count, to: values.pointer) ? largestMagnitude(values.pointer, .float32, count: count) : .infinity
    }
  }

  /// The largest of `count` numbers of 2 or 4 bytes, read as integers without the sign bit.
  private static func largestBits(_ source: UnsafeRawPointer, _ count: Int, size: Int) -> UInt32 {
    let found = Atomic<UInt32>(0)
    let kernel = Kernel.table
    parallel(count, grain: 1 << 16) { range in
      let part = source + range.lowerBound * size
      found.max(size == 2 ? kernel.largest_bits16(part, range.count) : kernel.largest_bits32(part, range.count), ordering: .relaxed)
    }
    return found.load(ordering: .relaxed)
  }

  /// Bits of Float32 infinity. As integers without the sign bit, NaN and infinity are above every number.
  private static let infinity: Int32 = 0x7f80_0000

  @inline(__always)
  private static func convert<Vector: BitwiseCopyable, Scalar: BitwiseCopyable>(
    _ source: UnsafeRawPointer, _ count: Int, _ target: UnsafeMutablePointer<Float>, _: Vector.Type, _: Scalar.Type,
    _ wide: (Vector) -> SIMD8<UInt32>, _ narrow: (Scalar) -> UInt32
  ) -> Bool {
    let good = Atomic<Bool>(true)
    let size = MemoryLayout<Scalar>.size
    parallel(count, grain: 1 << 16) { range in
      var highest = SIMD8<Int32>()
      var i = range.lowerBound
      while i + 8 <= range.upperBound {
        let bits = wide(source.loadUnaligned(fromByteOffset: i * size, as: Vector.self))
        UnsafeMutableRawPointer(target + i).storeBytes(of: bits, as: SIMD8<UInt32>.self)
        let magnitude = SIMD8<Int32>(truncatingIfNeeded: bits & 0x7fff_ffff)
        highest.replace(with: magnitude, where: magnitude .> highest)
        i += 8
      }
      var last = highest.max()
      while i < range.upperBound {
        let bits = narrow(source.loadUnaligned(fromByteOffset: i * size, as: Scalar.self))
        target[i] = Float(bitPattern: bits)
        last = max(last, Int32(truncatingIfNeeded: bits & 0x7fff_ffff))
        i += 1
      }
      if last >= infinity { good.store(false, ordering: .relaxed) }
    }
    return good.load(ordering: .relaxed)
  }

  /// Half precision to single in integer operations, since not every x86-64 has the instruction: shift, move the exponent's bias; a
  /// subnormal is made by a subtraction that normalises it (F. Giesen, "half to float done quick").
  @inline(__always)
  private static func widened(halves: SIMD8<UInt16>) -> SIMD8<UInt32> {
    let h = SIMD8<UInt32>(truncatingIfNeeded: halves)
    let sign = (h & 0x8000) &<< 16
    let shifted = (h & 0x7fff) &<< 13
    let exponent = shifted & 0x0f80_0000
    var out = shifted &+ 0x3800_0000  // (127 - 15) << 23
    let special = exponent .== SIMD8(repeating: 0x0f80_0000)
    out.replace(with: out &+ 0x3800_0000, where: special)
    let magic = SIMD8<UInt32>(repeating: 0x3880_0000)  // 2^-14, the smallest normal half
    let normalised = unsafeBitCast(out &+ 0x0080_0000, to: SIMD8<Float>.self) - unsafeBitCast(magic, to: SIMD8<Float>.self)
    out.replace(with: unsafeBitCast(normalised, to: SIMD8<UInt32>.self), where: exponent .== SIMD8(repeating: 0))
    return out | sign
  }
}
