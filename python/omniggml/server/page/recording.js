// What was said: kept, drawn, and made into files.

const WINDOW = 512;
const LOWEST = -80; // dB, the dark end of the spectrogram

export class Recording {
  rate = 24000;
  pieces = [];
  length = 0;
  groups = []; // codes, a list a group

  get frames() {
    return this.groups[0]?.length ?? 0;
  }

  add(samples, codes) {
    this.pieces.push(samples);
    this.length += samples.length;
    (codes ?? []).forEach((row, group) => (this.groups[group] ??= []).push(...row));
  }

  samples() {
    const all = new Float32Array(this.length);
    let end = 0;
    for (const piece of this.pieces) {
      all.set(piece, end);
      end += piece.length;
    }
    return all;
  }

  wav() {
    const view = new DataView(new ArrayBuffer(44 + 2 * this.length));
    const word = (place, text) => [...text].forEach((letter, i) => view.setUint8(place + i, letter.charCodeAt(0)));
    word(0, "RIFF");
    view.setUint32(4, 36 + 2 * this.length, true);
    word(8, "WAVEfmt ");
    [16, 0x10001, this.rate, 2 * this.rate].forEach((value, i) => view.setUint32(16 + 4 * i, value, true));
    view.setUint32(32, 0x100002, true);
    word(36, "data");
    view.setUint32(40, 2 * this.length, true);
    this.samples().forEach((sample, i) => view.setInt16(44 + 2 * i, Math.round(sample * 32768), true));
    return new Blob([view], { type: "audio/wav" });
  }

  npy() {
    const shape = `{'descr': '<i4', 'fortran_order': False, 'shape': (${this.groups.length}, ${this.frames}), }`;
    const head = shape.padEnd(Math.ceil((shape.length + 11) / 64) * 64 - 11) + "\n";
    const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, head.length & 255, head.length >> 8);
    return new Blob([magic, head, Int32Array.from(this.groups.flat())], { type: "application/octet-stream" });
  }

  draw(waveform, spectrogram, map) {
    const samples = this.samples();
    drawWaveform(waveform, samples);
    drawSpectrogram(spectrogram, samples);
    if (this.frames) drawCodes(map, this.groups);
  }
}

function sized(canvas) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * devicePixelRatio));
  canvas.width = width;
  canvas.height = height;
  return canvas.getContext("2d");
}

function drawWaveform(canvas, samples) {
  const context = sized(canvas);
  const { width, height } = canvas;
  context.fillStyle = getComputedStyle(canvas).getPropertyValue("--accent");
  for (let x = 0; x < width; x++) {
    const part = samples.subarray((x * samples.length) / width, Math.max((x + 1) * samples.length / width, 1));
    let [low, high] = [0, 0];
    for (const sample of part) {
      if (sample < low) low = sample;
      if (sample > high) high = sample;
    }
    const [top, bottom] = [(1 - high) * height / 2, (1 - low) * height / 2];
    context.fillRect(x, top, 1, Math.max(1, bottom - top));
  }
}

function drawSpectrogram(canvas, samples) {
  const context = sized(canvas);
  const { width, height } = canvas;
  const columns = Math.max(1, Math.min(width, Math.floor(samples.length / (WINDOW / 4))));
  const image = context.createImageData(columns, WINDOW / 2);
  for (let x = 0; x < columns; x++) {
    const power = powers(samples, Math.floor((x * Math.max(0, samples.length - WINDOW)) / columns));
    power.forEach((level, bin) => paint(image, x, WINDOW / 2 - 1 - bin, 1 - Math.max(LOWEST, Math.min(0, level)) / LOWEST));
  }
  stretch(context, image, width, height, true);
}

function drawCodes(canvas, groups) {
  const context = sized(canvas);
  const image = context.createImageData(groups[0].length, groups.length);
  const most = Math.max(1, ...groups.map((row) => Math.max(...row)));
  groups.forEach((row, y) => row.forEach((code, x) => paint(image, x, y, code / most)));
  stretch(context, image, canvas.width, canvas.height, false);
}

function stretch(context, image, width, height, smooth) {
  const small = new OffscreenCanvas(image.width, image.height);
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = smooth;
  context.drawImage(small, 0, 0, width, height);
}

// Dark blue, green, yellow: told apart by brightness alone, too.
const COLOURS = [[13, 8, 60], [33, 90, 140], [34, 150, 130], [150, 205, 70], [253, 240, 120]];

function paint(image, x, y, value) {
  const place = value * (COLOURS.length - 1);
  const [low, high] = [COLOURS[Math.floor(place)], COLOURS[Math.ceil(place)]];
  const share = place - Math.floor(place);
  const pixel = 4 * (y * image.width + x);
  for (let i = 0; i < 3; i++) image.data[pixel + i] = low[i] + share * (high[i] - low[i]);
  image.data[pixel + 3] = 255;
}

// dB of each frequency of a window, 0 for a full sine.
function powers(samples, start) {
  const [real, imaginary] = [new Float64Array(WINDOW), new Float64Array(WINDOW)];
  for (let i = 0; i < WINDOW; i++) {
    real[i] = (samples[start + i] ?? 0) * (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
  }
  transform(real, imaginary);
  const level = (i) => 20 * Math.log10((4 * Math.hypot(real[i], imaginary[i])) / WINDOW + 1e-9);
  return Array.from({ length: WINDOW / 2 }, (_, i) => level(i));
}

// Fourier's transform in place; lengths are powers of two.
function transform(real, imaginary) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let start = 0; start < n; start += size) {
      for (let k = 0; k < size / 2; k++) {
        const angle = (-2 * Math.PI * k) / size;
        const [i, j] = [start + k, start + k + size / 2];
        const re = real[j] * Math.cos(angle) - imaginary[j] * Math.sin(angle);
        const im = real[j] * Math.sin(angle) + imaginary[j] * Math.cos(angle);
        [real[j], imaginary[j]] = [real[i] - re, imaginary[i] - im];
        [real[i], imaginary[i]] = [real[i] + re, imaginary[i] + im];
      }
    }
  }
}
