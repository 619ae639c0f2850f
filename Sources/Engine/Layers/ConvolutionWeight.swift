import Synchronization

/// The weight of a convolution, packed on first use for the way it is computed.
///
/// Which way that is depends on the picture's size, so packing waits for the first picture. What is packed is kept; the values in the file are read
/// again when another size needs another form, and are not held beside it.
final class ConvolutionWeight: Sendable {
  /// Output and input channels.
  let (output, input): (Int, Int)
  /// Height and width.
  let kernel: (height: Int, width: Int)

  /// The values, when gradients are asked for them.
  let recorded: Tensor?
  private let read: @Sendable () -> Tensor
  private let forms = Mutex<(patches: Tensor?, winograd: Tensor?)>((nil, nil))

  /// - Parameters:
  ///   - stored: the weight in the file, PyTorch's `[out, in, kh, kw]`; nil where it was missing, which `WeightStore.finish` has reported.
  ///   - shape: what it is expected to be.
  convenience init(_ stored: StoredTensor?, _ shape: Shape) {
    self.init(shape) { stored?.readAgain() ?? .zeros(shape) }
  }

  /// - Parameter values: `[out, in, kh, kw]`
  convenience init(_ values: Tensor) {
    let plain = values.detached
    self.init(values.shape, recorded: values.isRecorded ? values : nil) { plain }
  }

  private init(_ shape: Shape, recorded: Tensor? = nil, read: @escaping @Sendable () -> Tensor) {
    self.recorded = recorded
    (output, input) = (shape[0], shape[1])
    kernel = (shape[2], shape[3])
    self.read = read
  }

  /// `[out, in, kh, kw]`, read anew.
  var values: Tensor { read() }

  /// `[out, kh, kw, in]`, for the product with patches of the picture.
  var patches: Tensor {
    forms.withLock { forms in
      if let packed = forms.patches { return packed }
      let packed = read().packedForConvolution()
      forms.patches = packed
      return packed
    }
  }

  /// 36 matrices `[panels, in, panel width]`: the transformed weights of a 3x3 convolution.
  var winograd: Tensor {
    forms.withLock { forms in
      if let packed = forms.winograd { return packed }
      let packed = read().packedForWinograd()
      forms.winograd = packed
      return packed
    }
  }

  /// Gives the memory of all forms back.
  func release() { forms.withLock { $0 = (nil, nil) } }
}
