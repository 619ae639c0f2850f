"""Proves: gradients of a LoRA's matrices and of a new word's vectors are those of PEFT's layers and transformers' text encoder, and the names and shapes that are
written are those of diffusers' own writer.

On the tiny models v1 (epsilon, 1x1 convolutions around its transformers) and v2 (velocity, linear layers there), in double. Inputs are those of gradients/.
The matrices and vectors are cosines that the test draws too (`waves`). Writes adapters/training-{v1,v2}.safetensors with the gradients (of large ones three
projections and the norm), and adapters/saved.json with names, shapes and settings as diffusers saves a LoRA and a textual inversion.
"""

import json

import common
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_kohya
from gradients import projections
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPTextModel

import pipeline

OUT = common.GOLDENS / "adapters"
WHOLE = 48
ATTENTION, TEXT = ["to_q", "to_k", "to_v", "to_out.0"], ["q_proj", "k_proj", "v_proj", "out_proj"]


def waves(shape, index, scale):
    i = torch.arange(shape.numel(), dtype=torch.float64)
    return (scale * torch.cos(1.3 * i + 0.7 * index)).reshape(shape)


def canonical(network, name):
    """The name of a matrix in sdlab's files: with `text_model.`, as in transformers before 5."""
    name = name.replace(".default", "")
    return f"{network}.{name}" if network == "unet" or name.startswith("text_model.") else f"{network}.text_model.{name}"


def adapt(network, module, rank, alpha, targets):
    module.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets))
    parts = {canonical(network, name): p for name, p in module.named_parameters() if "lora_" in name}
    for name, p in parts.items():
        p.data = p.data.double()
    return parts


def loss_of(golden, unet, text, ids):
    noisy, target, times, weights = (golden[f"in:{k}"].double() for k in ("noisy", "target", "times", "weights"))
    out = unet(noisy, times.long(), encoder_hidden_states=text(ids).last_hidden_state).sample
    return ((out - target).square().mean((1, 2, 3)) * weights).mean()


def networks(name):
    folder = common.GOLDENS / "tiny" / name
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32).double()
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", torch_dtype=torch.float32).double()
    return unet, text


def linear(module):
    return [n for n, m in module.named_modules() if isinstance(m, torch.nn.Linear)]


def gradients(name, rank, alpha):
    """v2: attention of both networks; v1: all linear layers of the UNet."""
    golden = load_file(OUT.parent / "gradients" / f"{name}.safetensors")
    unet, text = networks(name)
    parts = adapt("unet", unet, rank, alpha, ATTENTION if name == "v2" else linear(unet))
    if name == "v2":
        parts |= adapt("text_encoder", text, rank, alpha, TEXT)
    for index, (key, p) in enumerate(sorted(parts.items())):
        p.data = waves(p.shape, index, 0.4 if "lora_A" in key else 0.2)
    loss = loss_of(golden, unet, text, golden["in:ids"].long())
    loss.backward()
    tensors = {"lora:loss": loss.detach()[None]}
    for key, p in parts.items():
        tensors[key] = p.grad if p.numel() <= WHOLE else projections(p.grad)

    # A word of two vectors at three places of the first two captions.
    unet, text = networks(name)
    text.resize_token_embeddings(682, mean_resizing=False)
    table = text.get_input_embeddings().weight
    table.data[680:] = waves(table[680:].shape, 0, 0.5)
    ids = golden["in:ids"].long()
    ids[0, 3:5] = ids[1, 7:9] = ids[1, 12:14] = torch.tensor([680, 681])
    loss = loss_of(golden, unet, text, ids)
    loss.backward()
    tensors |= {"word:ids": ids, "word:loss": loss.detach()[None], "word:gradient": table.grad[680:].clone()}
    common.write_tensors(OUT / f"training-{name}.safetensors", tensors)
    print(name, len(parts), "matrices,", (OUT / f"training-{name}.safetensors").stat().st_size // 1000, "kB")


def text(shape):
    return " ".join(map(str, shape))


def saved(rank, alpha):
    """What diffusers writes for the tiny v2 model, in its own layout and in kohya's."""
    pipe = pipeline.load(common.GOLDENS / "tiny/v2")
    pipe.unet.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=ATTENTION))
    pipe.text_encoder.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=TEXT))
    layers = {"unet": get_peft_model_state_dict(pipe.unet), "text_encoder": get_peft_model_state_dict(pipe.text_encoder)}
    place = OUT / "saved-by-diffusers.safetensors"
    StableDiffusionPipeline.save_lora_weights(
        OUT, weight_name=place.name, unet_lora_layers=layers["unet"], text_encoder_lora_layers=layers["text_encoder"],
        unet_lora_adapter_metadata=pipe.unet.peft_config["default"].to_dict(), text_encoder_lora_adapter_metadata=pipe.text_encoder.peft_config["default"].to_dict())
    with safe_open(str(place), "pt") as file:
        shapes = {canonical(*key.split(".", 1)): text(file.get_slice(key).get_shape()) for key in file.keys()}
        settings = json.loads(file.metadata()["lora_adapter_metadata"])
    place.unlink()
    full = {canonical(n, k): v for n, state in layers.items() for k, v in state.items()}
    # kohya's scripts say lora_te_ for Stable Diffusion 1 and 2; lora_te1_ is SDXL's first encoder.
    kohya = {k.replace("lora_te1_", "lora_te_"): text(v.shape) for k, v in convert_state_dict_to_kohya(full).items()}
    wanted = {f"{n}.{k}": settings[f"{n}.{k}"] for n in layers for k in ("r", "lora_alpha", "target_modules")}
    for key, value in wanted.items():
        wanted[key] = sorted(value) if isinstance(value, (list, set)) else value
    common.write_json(OUT / "saved.json", {"made with": common.versions("torch", "diffusers", "transformers", "peft"), "diffusers": shapes, "kohya": kohya, "settings": wanted})
    print(len(shapes), "names of diffusers,", len(kohya), "of kohya")


pipeline.begin(pipeline.options(__doc__, OUT))
torch.set_grad_enabled(True)
gradients("v1", 2, 3.0)
gradients("v2", 2, 3.0)
saved(2, 3)
