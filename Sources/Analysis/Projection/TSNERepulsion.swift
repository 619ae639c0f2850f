import Engine
import Foundation
import Kernels

/// The forces with which all points of a t-SNE push each other away, and their normalisation.
///
/// With the potential phi(y) = sum_j 1 / (1 + |y - y_j|^2), the normalisation Z is the sum of phi over the points less n, and the force
/// sum_j (y_i - y_j) / (1 + |y_i - y_j|^2)^2 is -1/2 of its gradient.
protocol TSNERepulsion: AnyObject {
  /// - Parameters:
  ///   - axes: coordinates by axis, n each.
  ///   - force: is overwritten, by axis.
  /// - Returns: Z.
  func forces(_ axes: [[Float]], _ force: inout [[Float]]) -> Double
}

/// Every pair is looked at; 1 to 3 dimensions.
final class ExactRepulsion: TSNERepulsion {
  private var potential: [Double] = []

  func forces(_ axes: [[Float]], _ force: inout [[Float]]) -> Double {
    let (n, d) = (axes[0].count, axes.count)
    potential = [Double](repeating: 0, count: n)
    let zeros = [Float](repeating: 0, count: d == 1 ? n : 0)
    var unused = zeros
    let block = 64
    func run(
      _ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ z: UnsafePointer<Float>?, _ fx: UnsafeMutablePointer<Float>,
      _ fy: UnsafeMutablePointer<Float>, _ fz: UnsafeMutablePointer<Float>?, _ potential: UnsafeMutablePointer<Double>
    ) {
      inParallel(tasks: (n + block - 1) / block) { task in
        Kernel.table.repulsion_rows(x, y, z, n, task * block, min(n, (task + 1) * block), fx, fy, fz, potential)
      }
    }
    switch d {
    case 1: run(axes[0], zeros, nil, &force[0], &unused, nil, &potential)
    case 2:
      var (fx, fy) = (force[0], force[1])
      run(axes[0], axes[1], nil, &fx, &fy, nil, &potential)
      force = [fx, fy]
    default:
      var (fx, fy, fz) = (force[0], force[1], force[2])
      run(axes[0], axes[1], axes[2], &fx, &fy, &fz, &potential)
      force = [fx, fy, fz]
    }
    return potential.reduce(0, +) - Double(n)
  }
}

/// The potential on a grid, by Fourier transforms; two dimensions.
///
/// As FIt-SNE (Linderman et al. 2019) interpolates the kernel on a grid and convolves there, but with one charge for each point instead of four:
/// the forces are the derivatives of the potential's interpolant. That is a B-spline of order 6 with a step of a third of a unit, as in smooth
/// particle-mesh Ewald sums (Essmann et al. 1995), so that the derivatives are good to about 1e-3 of the force.
final class GridRepulsion: TSNERepulsion {
  /// The kernel's spectrum falls like exp(-|k|): at half a unit 0.2 % of it is left at the grid's limit and forces are off by up to 3 %, at a
  /// third 0.008 %.
  private static let step: Float = 1 / 3
  /// A small map gets a grid that reaches far beyond it: where the kernel is cut off it must be nearly flat, or its edge rings.
  private static let fewestNodes = 128
  /// Grids that add up the charges of fixed shares of the points, so that the sum does not depend on threads.
  private static let shares = 4
  private var grid: FourierGrid?

  /// Nodes along the longer side beyond which the forces are computed pair by pair.
  static let maximumNodes = 6000

  /// Nodes that coordinates in `range` take.
  static func nodes(_ low: Float, _ high: Float) -> Int {
    let wanted = max(fewestNodes, Int((high - low) / step) + 10)
    // In steps of an eighth, so that the kernel's spectrum is seldom computed again.
    let grain = max(8, 1 << max(0, Int(log2(Double(wanted))) - 3))
    return (wanted + grain - 1) / grain * grain
  }

  func forces(_ axes: [[Float]], _ force: inout [[Float]]) -> Double {
    let n = axes[0].count
    let low = axes.map { $0.min() ?? 0 }
    let high = axes.map { $0.max() ?? 0 }
    // In a map smaller than the kernel the forces are differences of nearly equal potentials, of which single precision leaves a few percent.
    let isTiny = n <= 20_000 && (0..<2).allSatisfy { high[$0] - low[$0] < 1 }
    guard !isTiny, (0..<2).allSatisfy({ (high[$0] - low[$0]) / Self.step < Float(Self.maximumNodes) }) else {
      return ExactRepulsion().forces(axes, &force)
    }
    let (columns, rows) = (Self.nodes(low[0], high[0]), Self.nodes(low[1], high[1]))
    let fourier = prepared(rows, columns)
    let size = rows * columns
    let shares = n < 20_000 ? 1 : Self.shares
    let cells = UnsafeMutablePointer<Float>.allocate(capacity: size * shares)
    let places = UnsafeMutablePointer<Float>.allocate(capacity: 2 * n)
    let values = UnsafeMutablePointer<Float>.allocate(capacity: n)
    defer {
      cells.deallocate()
      places.deallocate()
      values.deallocate()
    }
    for a in 0..<2 { for i in 0..<n { places[a * n + i] = (axes[a][i] - low[a]) / Self.step + 5 } }
    let (shared, at, potential) = (cells, places, values)
    inParallel(tasks: shares) { share in
      let (from, to) = (n * share / shares, n * (share + 1) / shares)
      let mine = shared + share * size
      mine.initialize(repeating: 0, count: size)
      Kernel.table.spread(at + from, at + n + from, to - from, mine, columns)
    }
    for share in 1..<max(2, shares) where share < shares { Kernel.table.add(cells, cells + share * size, size) }
    fourier.convolve(cells)
    let scale = -0.5 / Self.step
    var (fx, fy) = (force[0], force[1])
    fx.withUnsafeMutableBufferPointer { fx in
      fy.withUnsafeMutableBufferPointer { fy in
        guard let fx = fx.baseAddress, let fy = fy.baseAddress else { return }
        let block = 1024
        inParallel(tasks: (n + block - 1) / block) { task in
          let (from, to) = (task * block, min(n, (task + 1) * block))
          Kernel.table.interpolate(at + from, at + n + from, to - from, shared, columns, potential + from, fx + from, fy + from)
          for i in from..<to {
            fx[i] *= scale
            fy[i] *= scale
          }
        }
      }
    }
    force = [fx, fy]
    return (0..<n).reduce(0) { $0 + Double(values[$1]) } - Double(n)
  }

  private func prepared(_ rows: Int, _ columns: Int) -> FourierGrid {
    if let grid, grid.rows == rows, grid.columns == columns { return grid }
    let new = FourierGrid(rows: rows, columns: columns)
    let step = Self.step
    // The spline's own spectrum is divided out, once for spreading and once for interpolation: then the interpolant meets the kernel at
    // every offset of the grid.
    new.setKernel({ r, c in 1 / (1 + step * step * Float(r * r + c * c)) }) { frequency in
      let theta = 2 * .pi * frequency
      let b = (66 + 52 * cos(theta) + 2 * cos(2 * theta)) / 120
      return 1 / (b * b)
    }
    grid = new
    return new
  }
}
