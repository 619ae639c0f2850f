import Engine
import Foundation

func safetensors(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let file = FileBytes(copying: UnsafeRawBufferPointer(start: data, count: count), name: "input")
  guard let contents = try? Safetensors.read(file) else { return 0 }
  let layout = KeyMap.Layout(contents.tensors.map(\.name))
  for tensor in contents.tensors {
    _ = try? tensor.float32()
    _ = KeyMap.canonical(tensor.name, layout)
    _ = KeyMap.diffusers("vae", tensor.name)
  }
  return 0
}

func pickle(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  _ = try? Pickle(UnsafeRawBufferPointer(start: data, count: count))
  return 0
}

/// The zip file and what is in it: entries, pickle, tensors.
func zip(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let file = FileBytes(copying: UnsafeRawBufferPointer(start: data, count: count), name: "input")
  _ = try? ZipArchive(file)
  guard let contents = try? TorchCheckpoint.read(file) else { return 0 }
  for tensor in contents.tensors { _ = try? tensor.float32() }
  return 0
}

func config(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let data, let config = try? ConfigReader(Data(bytes: data, count: count), file: "input") else { return 0 }
  _ = try? UNetConfig(config)
  _ = try? VAEConfig(config)
  _ = try? CLIPTextConfig(config)
  _ = try? config.doubles("trained_betas")
  return 0
}
