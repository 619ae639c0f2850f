/// Our samplers under the names of other programs.
enum SamplerNames {
  /// One name in another program.
  struct Found: Equatable {
    /// Our name; nil when we have no such sampler.
    var sampler: String?
    /// Karras sigmas where they are not part of our name.
    var karras: Bool?
  }

  /// A1111's name of the sampler and of the schedule type (nil when it has none).
  static func a1111(_ sampler: String, karras: Bool?) -> (sampler: String, schedule: String?) {
    let k = karras == true || sampler.hasSuffix("-karras")
    let name =
      switch sampler {
      case "euler": "Euler"
      case "euler-a": "Euler a"
      case "heun": "Heun"
      case "lms": "LMS"
      case "dpmpp-2m", "dpmpp-2m-karras": "DPM++ 2M"
      case "dpmpp-2m-sde": "DPM++ 2M SDE"
      case "dpmpp-2s": "DPM++ 2S"  // not A1111's "DPM++ 2S a", which is an ancestral sampler
      case "ddim": "DDIM"
      case "pndm": "PLMS"
      case "unipc": "UniPC"
      case "lcm": "LCM"
      case "ddpm": "DDPM"
      default: sampler
      }
    // Without a word A1111 takes Karras' schedule for some samplers, so that "Uniform" has to be said.
    let kDiffusion = ["euler", "euler-a", "heun", "lms", "lcm"].contains(sampler) || sampler.hasPrefix("dpmpp")
    return (name, kDiffusion ? (k ? "Karras" : "Uniform") : (k ? "Karras" : nil))
  }

  /// Our name for A1111's (`Euler a`, `DPM++ 2M Karras`), stable-diffusion.cpp's (`euler_a`, `dpm++2m karras`) or ComfyUI's (`dpmpp_2m`,
  /// schedule apart).
  static func ours(_ name: String, schedule: String?) -> Found {
    var words = name.lowercased().split(whereSeparator: { $0 == " " || $0 == "_" }).map(String.init)
    var schedules = [schedule?.lowercased()].compactMap { $0 }
    while words.count > 1, let last = words.last,
      ["karras", "exponential", "discrete", "normal", "ays", "gits", "sgm_uniform"].contains(last)
    {
      schedules.append(words.removeLast())
    }
    let joined = words.joined(separator: " ").replacingOccurrences(of: "dpm++", with: "dpmpp ").replacingOccurrences(of: "  ", with: " ")
    let base: String? =
      switch joined {
      case "euler": "euler"
      case "euler a", "euler ancestral": "euler-a"
      case "heun": "heun"
      case "lms": "lms"
      case "dpmpp 2m", "dpmpp 2mv1": "dpmpp-2m"
      case "dpmpp 2m sde", "dpmpp 2m sde gpu": "dpmpp-2m-sde"
      case "dpmpp 2s": "dpmpp-2s"
      case "ddim": "ddim"
      case "plms", "pndm", "ipndm": joined == "ipndm" ? nil : "pndm"
      case "unipc", "uni pc": "unipc"
      case "lcm": "lcm"
      case "ddpm": "ddpm"
      default: nil
      }
    // A1111's "Automatic" is the sampler's own choice: Karras for DPM++ 2M (sd_samplers_kdiffusion.py).
    let karras = schedules.contains("karras") || (schedules.contains("automatic") && base == "dpmpp-2m")
    if base == "dpmpp-2m" && karras { return Found(sampler: "dpmpp-2m-karras", karras: nil) }
    return Found(sampler: base, karras: karras ? true : nil)
  }

  /// Schedules that `ours` takes into account; every other one changes the picture in a way that we do not follow.
  static func isKnown(schedule: String) -> Bool {
    ["karras", "normal", "uniform", "automatic", "discrete", "default"].contains(schedule.lowercased())
  }
}
