import Engine

extension ReportOptions {
  /// Says that a picture was flagged, and by what.
  func warn(_ verdict: SafetyChecker.Verdict, of picture: String) {
    guard verdict.isFlagged else { return }
    let concepts = verdict.conceptScores.enumerated().filter { $0.element > 0 }.map { "concept \($0.offset) by \(decimal($0.element, 3))" }
    warn(
      "\(picture): the model's safety checker flags this picture (\(concepts.joined(separator: ", "))); it is wrong often; reports hide the picture until it is asked for"
    )
  }
}
