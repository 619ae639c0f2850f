/// Elements of an array that lies in memory with strides, in row-major order.
enum Strides {
  /// - Parameters:
  ///   - strides: elements between neighbours of each dimension.
  ///   - body: is called with the number of each element and its place in memory, both counted in elements.
  static func walk(_ shape: [Int], _ strides: [Int], _ body: (_ element: Int, _ place: Int) -> Void) {
    var index = [Int](repeating: 0, count: shape.count)
    var at = 0
    for element in 0..<shape.reduce(1, *) {
      body(element, at)
      var d = shape.count - 1
      while d >= 0 {
        index[d] += 1
        at += strides[d]
        if index[d] < shape[d] { break }
        at -= strides[d] * shape[d]
        index[d] = 0
        d -= 1
      }
    }
  }
}
