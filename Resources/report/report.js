// The report's moving parts. Each part of the page with data-component is woken when it comes near the view, reads its own data
// (JSON in #ID-data, base64 in #ID-NAME at the end of the document) and works on what the page already shows.
"use strict";
(() => {
  const one = (root, selector) => root.querySelector(selector);
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
  const json = (root, name = "data") => JSON.parse(document.getElementById(`${root.id}-${name}`).textContent);
  const bytes = (root, name) => {
    const text = atob(document.getElementById(`${root.id}-${name}`).textContent);
    const out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
    return out;
  };
  // As the Swift side writes numbers: three significant digits.
  const brief = (v) => {
    const size = Math.abs(v);
    if (size !== 0 && (size < 0.001 || size >= 100000)) return v.toExponential(2);
    return size >= 100 ? v.toFixed(0) : String(Number(v.toPrecision(3)));
  };
  const reveal = (root) => all(root, ".needs-js").forEach((element) => (element.hidden = false));
  const chosen = (root, name) => one(root, `input[name="${root.id}-${name}"]:checked`)?.value;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const whenThemeChanges = (act) => matchMedia("(prefers-color-scheme: dark)").addEventListener("change", act);

  // ---- Heat: values as colours over a picture

  const drawBar = (canvas, palette) => {
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(256, 1);
    for (let i = 0; i < 256; i++) pixels.data.set([palette[3 * i], palette[3 * i + 1], palette[3 * i + 2], 255], 4 * i);
    context.putImageData(pixels, 0, 0);
  };

  // Values of [height][width], interpolated bilinearly between the centres of the cells, then coloured: interpolating colours instead would
  // show colours that stand for other values. With `level`, a line where the values pass it.
  const drawHeat = (canvas, value, height, width, low, high, palette, opacity, level = null) => {
    const box = canvas.getBoundingClientRect();
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const w = clamp(Math.round(box.width * ratio), 32, 900);
    const h = clamp(Math.round(box.height * ratio), 32, 900);
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(w, h);
    const axis = (n, cells) => {
      const index = new Uint16Array(n), next = new Uint16Array(n), part = new Float32Array(n);
      for (let i = 0; i < n; i++) {
        const at = clamp(((i + 0.5) * cells) / n - 0.5, 0, cells - 1);
        index[i] = Math.floor(at);
        next[i] = Math.min(cells - 1, index[i] + 1);
        part[i] = at - index[i];
      }
      return { index, next, part };
    };
    const across = axis(w, width), down = axis(h, height);
    const scale = high > low ? 255 / (high - low) : 0;
    const alpha = Math.round(255 * opacity);
    const data = pixels.data;
    const row = new Float32Array(width);
    const above = level === null ? null : new Uint8Array(w * h);
    let o = 0;
    for (let y = 0; y < h; y++) {
      const a = down.index[y] * width, b = down.next[y] * width, t = down.part[y];
      for (let x = 0; x < width; x++) row[x] = value[a + x] * (1 - t) + value[b + x] * t;
      for (let x = 0; x < w; x++, o += 4) {
        const u = across.part[x];
        const v = row[across.index[x]] * (1 - u) + row[across.next[x]] * u;
        const colour = 3 * clamp(Math.round((v - low) * scale), 0, 255);
        data[o] = palette[colour];
        data[o + 1] = palette[colour + 1];
        data[o + 2] = palette[colour + 2];
        data[o + 3] = alpha;
        if (above && v >= level) above[y * w + x] = 1;
      }
    }
    if (above) {
      // White within, black around it: seen on any picture.
      const paint = (i, white) => { data.set([white, white, white, 255], 4 * i); };
      for (let y = 1; y < h - 1; y++) {
        for (let x = 1; x < w - 1; x++) {
          const i = y * w + x;
          const edge = above[i] !== above[i - 1] || above[i] !== above[i + 1] || above[i] !== above[i - w] || above[i] !== above[i + w];
          if (edge) paint(i, above[i] ? 255 : 0);
        }
      }
    }
    context.putImageData(pixels, 0, 0);
    return context;
  };

  const cellAt = (canvas, event, height, width) => {
    const box = canvas.getBoundingClientRect();
    const x = clamp(Math.floor(((event.clientX - box.left) / box.width) * width), 0, width - 1);
    const y = clamp(Math.floor(((event.clientY - box.top) / box.height) * height), 0, height - 1);
    return { x, y };
  };

  const components = {};

  // ---- Words and their maps

  components.wordmaps = (root) => {
    const data = json(root), store = bytes(root, "maps"), palette = bytes(root, "palette");
    const n = data.words.length;
    let offset = 0;
    for (const group of data.groups) {
      group.offset = offset;
      offset += (1 + group.steps) * n * group.height * group.width;
    }
    const ordinary = data.words.map((w, i) => (w.special ? -1 : i)).filter((i) => i >= 0);
    const counted = ordinary.length ? ordinary : data.words.map((_, i) => i);
    const canvas = one(root, ".overlay"), slider = one(root, ".step"), opacity = one(root, ".opacity"), contour = one(root, ".contour");
    const tiles = all(root, ".tile[data-word]"), buttons = all(root, ".word");
    let pinned = data.first, previewed = null, values = null;

    const state = () => {
      const group = data.groups[Number(chosen(root, "group") ?? 0)];
      const step = slider ? Math.min(Number(slider.value), group.steps) : 0;
      return { group, step, word: previewed ?? pinned, own: chosen(root, "scale") === "own" };
    };
    const show = () => {
      const { group, step, word, own } = state();
      const size = group.height * group.width, map = step * n + word;
      const low = group.low[map], high = group.high[map];
      const from = group.offset + map * size;
      values = new Float32Array(size);
      for (let i = 0; i < size; i++) values[i] = low + ((high - low) * store[from + i]) / 255;
      let bottom = low, top = high;
      if (!own) {
        bottom = Math.min(...counted.map((i) => group.low[step * n + i]));
        top = Math.max(...counted.map((i) => group.high[step * n + i]));
      }
      drawHeat(canvas, values, group.height, group.width, bottom, top, palette, Number(opacity.value) / 100, contour.checked && high > low ? low + 0.4 * (high - low) : null);
      one(root, ".low").textContent = (low < bottom ? "≤ " : "") + brief(bottom);
      one(root, ".high").textContent = (high > top ? "≥ " : "") + brief(top);
      const described = data.words[word];
      const when = step === 0 ? "all steps" : data.steps[step - 1];
      if (slider) {
        slider.disabled = group.steps === 0;
        slider.setAttribute("aria-valuetext", when);
        one(root, ".where").textContent = group.steps === 0 ? "all steps only" : when;
      }
      const now = one(root, ".now");
      now.replaceChildren(make("b", {}, described.text), ` – ${when}, ${group.name}. From ${brief(low)} to ${brief(high)}.`);
      const why = one(root, ".why");
      why.hidden = !described.flag;
      why.textContent = described.flag ? `${described.flag}: ${described.why}` : "";
      canvas.setAttribute("aria-label", `Map of “${described.text}” over the picture, ${when}, ${group.name}`);
      one(root, ".percent").textContent = `${opacity.value} %`;
      buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(i === pinned)));
      tiles.forEach((t) => t.classList.toggle("on", Number(t.dataset.word) === word));
    };
    const pin = (word) => { pinned = word; previewed = null; show(); };
    buttons.forEach((button, word) => {
      button.addEventListener("pointerenter", (e) => { if (e.pointerType !== "touch") { previewed = word; show(); } });
      button.addEventListener("pointerleave", () => { if (previewed !== null) { previewed = null; show(); } });
      button.addEventListener("focus", () => { if (button.matches(":focus-visible")) pin(word); });
      button.addEventListener("click", () => pin(word));
    });
    one(root, ".promptline").addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      const at = buttons.indexOf(document.activeElement);
      const to = buttons[(at + move + buttons.length) % buttons.length];
      to.focus();
      pin(buttons.indexOf(to));
    });
    tiles.forEach((tile) => {
      tile.classList.add("choosable");
      one(tile, "img").addEventListener("click", () => pin(Number(tile.dataset.word)));
    });
    root.addEventListener("input", show);
    canvas.addEventListener("pointermove", (event) => {
      const { group } = state();
      const { x, y } = cellAt(canvas, event, group.height, group.width);
      one(root, ".reading").textContent = `Row ${y + 1}, column ${x + 1}: ${brief(values[y * group.width + x])}`;
    });
    drawBar(one(root, ".bar"), palette);
    new ResizeObserver(show).observe(canvas);
    show();
  };

  // ---- What a place looks at

  components.selfattention = (root) => {
    const data = json(root), store = bytes(root, "maps"), palette = bytes(root, "palette");
    let offset = 0;
    for (const group of data.groups) {
      group.offset = offset;
      offset += (group.height * group.width) ** 2;
    }
    const canvas = one(root, ".overlay"), opacity = one(root, ".opacity");
    const leading = data.groups[0];
    // As fractions of the picture, so that the place stays when the group changes.
    let place = { x: ((data.first % leading.width) + 0.5) / leading.width, y: (Math.floor(data.first / leading.width) + 0.5) / leading.height };
    const current = () => data.groups[Number(chosen(root, "group") ?? 0)];
    const show = () => {
      const { height, width, low, high, offset } = current();
      const column = clamp(Math.floor(place.x * width), 0, width - 1), row = clamp(Math.floor(place.y * height), 0, height - 1);
      const n = height * width, query = row * width + column;
      const values = new Float32Array(n);
      let peak = 0;
      for (let i = 0; i < n; i++) {
        values[i] = low[query] + ((high[query] - low[query]) * store[offset + query * n + i]) / 255;
        if (values[i] > values[peak]) peak = i;
      }
      const bottom = Math.min(0, low[query]), top = high[query];
      const context = drawHeat(canvas, values, height, width, bottom, top, palette, Number(opacity.value) / 100);
      const w = canvas.width / width, h = canvas.height / height;
      const line = Math.max(2, canvas.width / 200);
      for (const [colour, extra] of [["#000000", line * 2], ["#ffffff", line]]) {
        context.strokeStyle = colour;
        context.lineWidth = extra;
        context.strokeRect(column * w, row * h, w, h);
      }
      one(root, ".low").textContent = brief(bottom);
      one(root, ".high").textContent = brief(top);
      one(root, ".percent").textContent = `${opacity.value} %`;
      const words = `Row ${row + 1}, column ${column + 1} looks most at row ${Math.floor(peak / width) + 1}, column ${(peak % width) + 1}`;
      one(root, ".now").textContent = `${words} (weight ${brief(values[peak])}; evenly spread it would be ${brief(1 / n)}).`;
      canvas.dataset.query = `${row},${column}`;
    };
    const point = (event) => {
      const { height, width } = current();
      const { x, y } = cellAt(canvas, event, height, width);
      place = { x: (x + 0.5) / width, y: (y + 0.5) / height };
      show();
    };
    canvas.addEventListener("pointerdown", (event) => { canvas.focus({ preventScroll: true }); point(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) point(event); });
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      const { height, width } = current();
      place = { x: clamp(place.x + move[0] / width, 0.5 / width, 1 - 0.5 / width), y: clamp(place.y + move[1] / height, 0.5 / height, 1 - 0.5 / height) };
      show();
    });
    root.addEventListener("input", show);
    drawBar(one(root, ".bar"), palette);
    new ResizeObserver(show).observe(canvas);
    show();
  };

  // ---- The film

  components.film = (root) => {
    const slider = one(root, ".player .step"), play = one(root, ".play"), stage = one(root, ".stage-row"), where = one(root, ".player .where");
    const labels = all(root, ".strip thead th").map((th) => th.textContent);
    const rows = all(root, ".strip tbody tr").map((tr) => ({ label: one(tr, ".row-label").textContent, frames: all(tr, "img") }));
    const shown = rows.map((row) => {
      const image = row.frames[0].cloneNode();
      stage.append(make("figure", {}, image, make("figcaption", {}, row.label)));
      return image;
    });
    let timer = 0;
    const show = () => {
      const step = Number(slider.value);
      rows.forEach((row, i) => { shown[i].src = row.frames[step].src; shown[i].alt = row.frames[step].alt; });
      where.textContent = labels[step];
      slider.setAttribute("aria-valuetext", labels[step]);
      all(root, ".strip tr").forEach((tr) => [...tr.children].slice(1).forEach((cell, i) => cell.classList.toggle("on", i === step)));
    };
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
    play.addEventListener("click", () => {
      if (timer) return stop();
      if (Number(slider.value) === labels.length - 1) slider.value = 0;
      show();
      play.textContent = "Pause";
      timer = setInterval(() => {
        slider.value = Number(slider.value) + 1;
        show();
        if (Number(slider.value) === labels.length - 1) stop();
      }, clamp(6000 / labels.length, 90, 500));
    });
    slider.addEventListener("input", () => { if (timer) stop(); show(); });
    rows.forEach((row) => row.frames.forEach((frame, i) => frame.addEventListener("click", () => { stop(); slider.value = i; show(); })));
    show();
  };

  // ---- Pictures in rows and columns

  const lightbox = document.getElementById("lightbox");
  let album = { cells: [], at: 0 };
  const turn = (by) => {
    album.at = clamp(album.at + by, 0, album.cells.length - 1);
    const cell = album.cells[album.at], image = document.getElementById("lightbox-image"), from = one(cell, "img");
    image.src = from.src;
    image.alt = from.alt;
    image.classList.toggle("sharp", from.classList.contains("sharp"));
    document.getElementById("lightbox-caption").textContent = cell.dataset.place;
    document.getElementById("lightbox-previous").disabled = album.at === 0;
    document.getElementById("lightbox-next").disabled = album.at === album.cells.length - 1;
  };
  document.getElementById("lightbox-previous").addEventListener("click", () => turn(-1));
  document.getElementById("lightbox-next").addEventListener("click", () => turn(1));
  lightbox.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (move) { event.preventDefault(); turn(move); }
  });
  lightbox.addEventListener("click", (event) => { if (event.target === lightbox) lightbox.close(); });

  components.imagegrid = (root) => {
    all(root, ".scroll.grid").forEach((grid) => {
      const cells = all(grid, ".cell");
      cells.forEach((cell, at) => {
        const image = one(cell, "img");
        const button = make("button", { type: "button", class: "enlarge", title: "Enlarge" });
        image.replaceWith(button);
        button.append(image);
        button.addEventListener("click", () => { album = { cells, at }; turn(0); lightbox.showModal(); });
      });
    });
  };

  // ---- Code

  components.code = (root) => {
    const button = one(root, ".copy"), code = one(root, "code");
    button.setAttribute("aria-label", `Copy: ${one(root, ".code-head span").textContent}`);
    const select = () => {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
    };
    button.addEventListener("click", async () => {
      let done = true;
      try { await navigator.clipboard.writeText(code.textContent); } catch { select(); done = document.execCommand("copy"); }
      button.textContent = done ? "Copied" : "Selected";
      setTimeout(() => (button.textContent = "Copy"), 1600);
    });
  };

  // ---- Points

  // Eight colours in three shapes: 24 categories can be told apart, also in grey.
  const shapes = [
    (c, x, y, r) => c.arc(x, y, r, 0, 2 * Math.PI),
    (c, x, y, r) => c.rect(x - 0.85 * r, y - 0.85 * r, 1.7 * r, 1.7 * r),
    (c, x, y, r) => { c.moveTo(x, y - 1.25 * r); c.lineTo(x + 1.15 * r, y + 0.8 * r); c.lineTo(x - 1.15 * r, y + 0.8 * r); c.closePath(); },
  ];
  const shapePaths = ["M6 1a5 5 0 1 0 .01 0z", "M1.5 1.5h9v9h-9z", "M6 .5l5.5 10h-11z"];

  components.scatter = (root) => {
    const data = json(root);
    const canvas = one(root, ".points"), paper = one(root, ".paper"), tip = one(root, ".tip"), sheet = one(root, ".sheet");
    const select = one(root, ".factor"), count = one(root, ".brush-count");
    const n = data.captions.length;
    const [tileWidth, tileHeight] = data.tile;
    const sprite = data.tile.length ? new Image() : null;
    if (sprite) {
      sprite.src = `data:image/png;base64,${document.getElementById(`${root.id}-sprite`).textContent}`;
      sprite.decode().then(() => fillSheet(), () => {});
    }
    let view = null, muted = null, cursor = null, corner = null, box = null, hovered = -1, selected = [];

    const projection = () => {
      const first = data.projections[0];
      const method = chosen(root, "method") ?? first.method, space = chosen(root, "space") ?? first.space;
      return data.projections.find((p) => p.method === method && p.space === space) ?? first;
    };
    const factor = () => data.factors[Number(select?.value ?? 0)];
    const colourOf = (f, category) => {
      if (category < 0) return css("--edge");
      return f?.colours.length ? f.colours[category] : css(`--c${category % 8}`);
    };

    const layout = () => {
      const p = projection();
      const xs = [...p.x, ...p.marks.flatMap((m) => m.x), ...p.paths.flatMap((t) => t.x)];
      const ys = [...p.y, ...p.marks.flatMap((m) => m.y), ...p.paths.flatMap((t) => t.y)];
      const [width, height] = [paper.clientWidth, paper.clientHeight];
      const margin = Math.max(14, width * 0.03);
      const scale = (v, from, to) => {
        const low = v.reduce((a, b) => Math.min(a, b), Infinity), span = v.reduce((a, b) => Math.max(a, b), -Infinity) - low;
        return (value) => (span > 0 ? from + ((to - from) * (value - low)) / span : (from + to) / 2);
      };
      const x = scale(xs, margin, width - margin), y = scale(ys, height - margin, margin);
      view = { p, width, height, sx: x, sy: y, x: p.x.map(x), y: p.y.map(y) };
    };

    const draw = () => {
      const { p, width, height, x, y, sx, sy } = view;
      const ratio = Math.min(2, window.devicePixelRatio || 1);
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      const c = canvas.getContext("2d");
      c.scale(ratio, ratio);
      const f = factor(), radius = clamp(width / 190, 2.6, 4.2);
      const colours = (f?.categories ?? [""]).map((_, i) => colourOf(f, i));
      const edge = css("--edge"), outline = f?.colours.length ? edge : css("--card");
      const chosenPoints = new Set(selected);
      for (let i = 0; i < n; i++) {
        const category = f ? f.values[i] : 0;
        const quiet = (muted !== null && category !== muted) || (selected.length > 0 && !chosenPoints.has(i));
        c.globalAlpha = quiet ? 0.16 : 0.88;
        c.fillStyle = category < 0 ? edge : colours[category];
        c.strokeStyle = outline;
        c.lineWidth = 0.7;
        c.beginPath();
        shapes[Math.floor(Math.max(0, category) / 8) % 3](c, x[i], y[i], radius);
        c.fill();
        c.stroke();
      }
      c.globalAlpha = 1;
      const ink = css("--mark"), halo = css("--halo");
      // Right of its point, or left, above, below: the first place within the plot where no other label is.
      const taken = [];
      const label = (text, px, py) => {
        c.font = `600 12px ${css("--sans")}`;
        const w = c.measureText(text).width;
        const places = [[px + 12, py + 4], [px - 12 - w, py + 4], [px - w / 2, py - 14], [px - w / 2, py + 23], [px + 12, py + 20], [px + 12, py - 12]];
        const free = ([x, y]) => x >= 2 && x + w <= width - 2 && y >= 12 && y <= height - 3 && !taken.some((t) => x < t.x + t.w + 4 && t.x < x + w + 4 && Math.abs(y - t.y) < 14);
        const [left, base] = places.find(free) ?? places[0];
        taken.push({ x: left, y: base, w });
        c.textAlign = "left";
        c.lineWidth = 4;
        c.lineJoin = "round";
        c.strokeStyle = halo;
        c.strokeText(text, left, base);
        c.fillStyle = ink;
        c.fillText(text, left, base);
      };
      for (const t of p.paths) {
        // A way to one of the points has that point's colour, and goes pale with it.
        const end = t.point ?? -1, category = end >= 0 && f ? f.values[end] : null;
        const own = category === null ? ink : colourOf(f, category);
        c.globalAlpha = category !== null && muted !== null && category !== muted ? 0.2 : 1;
        for (const [colour, line] of [[halo, 4], [own, 1.8]]) {
          c.strokeStyle = colour;
          c.lineWidth = line;
          c.lineJoin = "round";
          c.beginPath();
          t.x.forEach((v, i) => (i ? c.lineTo(sx(v), sy(t.y[i])) : c.moveTo(sx(v), sy(t.y[i]))));
          c.stroke();
        }
        // Open at the start, full at the end.
        t.x.forEach((v, i) => {
          c.beginPath();
          c.arc(sx(v), sy(t.y[i]), i === 0 || i === t.x.length - 1 ? 4.5 : 2.6, 0, 2 * Math.PI);
          c.fillStyle = i === 0 ? halo : own;
          c.strokeStyle = i === 0 ? own : halo;
          c.lineWidth = 1.4;
          c.fill();
          c.stroke();
        });
        if (end >= 0) {
          c.fillStyle = own;
          c.strokeStyle = ink;
          c.lineWidth = 1.4;
          c.beginPath();
          shapes[Math.floor(Math.max(0, category ?? 0) / 8) % 3](c, x[end], y[end], radius + 2);
          c.fill();
          c.stroke();
        }
        c.globalAlpha = 1;
      }
      for (const m of p.marks) {
        for (const [colour, line] of [[halo, 5.5], [ink, 2.6]]) {
          c.strokeStyle = colour;
          c.lineWidth = line;
          c.beginPath();
          c.arc(sx(m.x[0]), sy(m.y[0]), 7.5, 0, 2 * Math.PI);
          c.stroke();
        }
      }
      for (const m of p.marks) label(m.label, sx(m.x[0]), sy(m.y[0]));
      for (const t of p.paths) if (t.x.length) label(t.label, sx(t.x[t.x.length - 1]), sy(t.y[t.y.length - 1]));
      if (hovered >= 0) {
        c.strokeStyle = ink;
        c.lineWidth = 2.2;
        c.beginPath();
        c.arc(x[hovered], y[hovered], radius + 3, 0, 2 * Math.PI);
        c.stroke();
      }
      if (box) {
        c.fillStyle = css("--accent");
        c.globalAlpha = 0.12;
        c.fillRect(box.x, box.y, box.w, box.h);
        c.globalAlpha = 1;
        c.strokeStyle = css("--accent");
        c.lineWidth = 1.5;
        c.strokeRect(box.x, box.y, box.w, box.h);
      }
      if (cursor) {
        c.strokeStyle = css("--accent");
        c.lineWidth = 2;
        c.beginPath();
        c.moveTo(cursor.x - 9, cursor.y);
        c.lineTo(cursor.x + 9, cursor.y);
        c.moveTo(cursor.x, cursor.y - 9);
        c.lineTo(cursor.x, cursor.y + 9);
        c.stroke();
      }
    };

    const thumbnail = (i) => {
      const tile = make("canvas", { width: tileWidth, height: tileHeight, "aria-hidden": "true" });
      const columns = Math.floor(sprite.naturalWidth / tileWidth) || 1;
      const [sx, sy] = [(i % columns) * tileWidth, Math.floor(i / columns) * tileHeight];
      tile.getContext("2d").drawImage(sprite, sx, sy, tileWidth, tileHeight, 0, 0, tileWidth, tileHeight);
      return tile;
    };
    const nearest = (px, py, within) => {
      let best = -1, distance = within * within;
      for (let i = 0; i < n; i++) {
        const d = (view.x[i] - px) ** 2 + (view.y[i] - py) ** 2;
        if (d < distance) [best, distance] = [i, d];
      }
      return best;
    };
    const ownNear = (px, py) => {
      const { p, sx, sy } = view;
      for (const m of p.marks) if (Math.hypot(sx(m.x[0]) - px, sy(m.y[0]) - py) < 9) return m.label;
      for (const t of p.paths) for (let i = 0; i < t.x.length; i++) if (Math.hypot(sx(t.x[i]) - px, sy(t.y[i]) - py) < 6) return `${t.label}, ${t.steps[i]}`;
      return null;
    };
    const hover = (px, py, within) => {
      const own = ownNear(px, py);
      const i = own ? -1 : nearest(px, py, within);
      if (i < 0 && !own) tip.hidden = true;
      else {
        const f = factor();
        const value = !own && f && f.values[i] >= 0 ? `${f.name}: ${f.categories[f.values[i]]}` : "";
        const parts = own ? [own] : [data.captions[i], ...(value ? [make("br"), make("span", { class: "quiet" }, value)] : [])];
        tip.replaceChildren(...(!own && sprite?.complete ? [thumbnail(i)] : []), ...parts);
        tip.hidden = false;
        const [ax, ay] = own ? [px, py] : [view.x[i], view.y[i]];
        tip.style.left = `${clamp(ax + 14 + tip.offsetWidth > view.width ? ax - 14 - tip.offsetWidth : ax + 14, 0, Math.max(0, view.width - tip.offsetWidth))}px`;
        tip.style.top = `${clamp(ay - tip.offsetHeight / 2, 0, Math.max(0, view.height - tip.offsetHeight))}px`;
      }
      if (i !== hovered) { hovered = i; return true; }
      return false;
    };

    const most = 240;
    const fillSheet = () => {
      const some = selected.slice(0, most);
      sheet.replaceChildren(...some.map((i) => make("li", {}, ...(sprite?.complete && sprite.naturalWidth ? [thumbnail(i)] : []), make("span", {}, data.captions[i]))));
    };
    const brush = () => {
      selected = [];
      if (box) for (let i = 0; i < n; i++) if (view.x[i] >= box.x && view.x[i] <= box.x + box.w && view.y[i] >= box.y && view.y[i] <= box.y + box.h) selected.push(i);
      const shownCount = selected.length > most ? `; the first ${most} are shown` : "";
      count.textContent = box ? `${selected.length} of ${n} points selected${shownCount}.` : "";
      fillSheet();
      draw();
    };
    const rectangle = (a, b) => ({ x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), w: Math.abs(a.x - b.x), h: Math.abs(a.y - b.y) });
    const clear = () => { box = corner = null; brush(); };
    const at = (event) => {
      const r = canvas.getBoundingClientRect();
      return { x: clamp(event.clientX - r.left, 0, r.width), y: clamp(event.clientY - r.top, 0, r.height) };
    };
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      drag = at(event);
      cursor = null;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const p = at(event);
      if (drag) {
        box = rectangle(drag, p);
        tip.hidden = true;
        hovered = -1;
        draw();
      } else if (hover(p.x, p.y, 16)) draw();
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!drag) return;
      const r = rectangle(drag, at(event));
      drag = null;
      if (r.w < 4 && r.h < 4) { clear(); hover(r.x, r.y, 16); draw(); } else { box = r; brush(); }
    });
    canvas.addEventListener("pointercancel", () => { drag = null; clear(); });
    canvas.addEventListener("pointerleave", () => { if (!drag) { tip.hidden = true; hovered = -1; draw(); } });
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (move) {
        const step = event.shiftKey ? 60 : 12;
        cursor ??= { x: view.width / 2, y: view.height / 2 };
        cursor = { x: clamp(cursor.x + move[0] * step, 0, view.width), y: clamp(cursor.y + move[1] * step, 0, view.height) };
        if (corner) box = rectangle(corner, cursor);
        hover(cursor.x, cursor.y, 30);
        draw();
      } else if (event.key === "Enter" || event.key === " ") {
        cursor ??= { x: view.width / 2, y: view.height / 2 };
        if (!corner) {
          corner = { ...cursor };
          box = rectangle(corner, cursor);
          count.textContent = "First corner set; move to the opposite corner and press Enter again.";
          draw();
        } else {
          box = rectangle(corner, cursor);
          corner = null;
          brush();
        }
      } else if (event.key === "Escape") {
        cursor = null;
        tip.hidden = true;
        hovered = -1;
        clear();
      } else return;
      event.preventDefault();
    });
    canvas.addEventListener("blur", () => { if (cursor) { cursor = null; tip.hidden = true; hovered = -1; draw(); } });

    const legend = () => {
      const f = factor(), list = one(root, ".legend");
      muted = null;
      if (!f) return;
      one(root, ".legend-title").textContent = f.name;
      const svg = (tag, attributes) => {
        const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
        for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
        return element;
      };
      const present = f.categories.map((name, i) => ({ name, i })).filter(({ i }) => f.values.includes(i));
      list.replaceChildren(...present.map(({ name, i }) => {
        const key = svg("svg", { class: "key", viewBox: "0 0 12 12", "aria-hidden": "true" });
        const path = svg("path", { d: shapePaths[Math.floor(i / 8) % 3], class: f.colours.length ? "named" : `c${i % 8}` });
        if (f.colours.length) path.setAttribute("fill", f.colours[i]);
        key.append(path);
        const button = make("button", { type: "button", "aria-pressed": "false", title: `Show only ${name}` }, key, name);
        button.addEventListener("click", () => {
          muted = muted === i ? null : i;
          all(list, "button").forEach((b) => b.setAttribute("aria-pressed", String(b === button && muted !== null)));
          draw();
        });
        return make("li", {}, button);
      }));
    };
    const change = () => {
      // A method that does not exist in a space is not offered there.
      const space = chosen(root, "space");
      if (space !== undefined) {
        const methods = all(root, `input[name="${root.id}-method"]`);
        methods.forEach((input) => (input.disabled = !data.projections.some((p) => p.space === space && p.method === input.value)));
        if (one(root, `input[name="${root.id}-method"]:checked`)?.disabled) methods.find((input) => !input.disabled).checked = true;
      }
      const p = projection();
      one(root, ".axis.x").textContent = p.xLabel;
      one(root, ".axis.y span").textContent = p.yLabel;
      one(root, ".plot-note").textContent = p.note;
      canvas.setAttribute("aria-label", `${p.method} of ${p.space}, ${n} points: arrow keys move a cursor, Enter sets the corners of a selection, Escape clears it`);
      layout();
      box = corner = cursor = null;
      hovered = -1;
      tip.hidden = true;
      brush();
    };
    all(root, ".scatter-controls input").forEach((input) => input.addEventListener("change", change));
    select?.addEventListener("change", () => { legend(); draw(); });
    one(root, "svg.static").remove();
    canvas.hidden = false;
    legend();
    change();
    let width = paper.clientWidth;
    new ResizeObserver(() => { if (paper.clientWidth !== width) { width = paper.clientWidth; change(); } }).observe(paper);
    whenThemeChanges(draw);
  };

  // ---- Waking

  const wake = (root) => { reveal(root); components[root.dataset.component](root); root.dataset.awake = "yes"; };
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      wake(target);
    }
  }, { rootMargin: "800px 0px" });
  // Controls take their room at once, so that nothing jumps when a part wakes.
  all(document, "[data-component]").forEach((root) => { reveal(root); watcher.observe(root); });

  const links = new Map(all(document, ".contents a").map((a) => [decodeURIComponent(a.hash.slice(1)), a]));
  const list = one(document, ".contents ol");
  let marked = null;
  const mark = () => {
    let current = null;
    for (const section of all(document, "main > section")) if (section.getBoundingClientRect().top < innerHeight * 0.4) current = section.id;
    if (current === marked) return;
    links.get(marked)?.removeAttribute("aria-current");
    marked = current;
    const link = links.get(marked);
    if (!link) return;
    link.setAttribute("aria-current", "location");
    list.scrollTo({ left: link.offsetLeft - 40 });
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
})();
