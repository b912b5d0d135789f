// The page: speaks what is typed, chats, shows and saves what was said, asks the doctor. Everything comes from this server.

import { Player } from "./player.js";
import { Recording } from "./recording.js";
import { asBase64, Server, samplesOf } from "./server.js";

const at = (id) => document.getElementById(id);
const server = new Server();
const player = new Player();
let recording = null; // what is being said, or was said last
let running = null; // AbortController of what is being said
let turns = [];

function complain(error) {
  if (error.name === "AbortError") return;
  at("access").hidden = error.status !== 401;
  at("alert").textContent = error.message;
  at("alert").hidden = false;
}

// What of a text was not said; nothing told before is told twice.
function warn(told = []) {
  const known = [...at("warnings").children].map((line) => line.textContent);
  for (const text of told.filter((text) => !known.includes(text))) {
    const line = document.createElement("li");
    line.textContent = text;
    at("warnings").append(line);
  }
  at("warnings").hidden = !at("warnings").children.length;
}

function begin() {
  running?.abort();
  running = new AbortController();
  player.begin(recording?.rate ?? 24000);
  at("alert").hidden = at("warnings").hidden = true;
  at("warnings").replaceChildren();
  return running.signal;
}

function stop() {
  running?.abort();
  typed.cancel();
  player.stop();
}

const chosen = () => ({ voice: at("voice").value || undefined, seed: Number(at("seed").value) || 0 });

function hear(samples, codes) {
  player.add(samples);
  recording.add(samples, codes);
  show();
}

function show() {
  at("heard").hidden = !recording.length;
  const frames = recording.frames ? `, ${recording.frames} frames` : "";
  at("length").textContent = `${(recording.length / recording.rate).toFixed(2)} s${frames}`;
  at("codes-shown").hidden = at("save-codes").hidden = !recording.frames;
  recording.draw(at("waveform"), at("spectrogram"), at("map"));
}

function finish() {
  for (const [id, blob] of [["save-wav", recording.wav()], ["save-codes", recording.npy()]]) {
    URL.revokeObjectURL(at(id).href);
    at(id).href = URL.createObjectURL(blob);
  }
}

// --- speaking ---

async function speak(text, signal) {
  const asked = { input: text, response_format: "pcm", stream_format: "sse", codes: true, ...chosen() };
  for await (const event of server.events("v1/audio/speech", asked, signal)) {
    if (event.type === "speech.audio.delta") hear(samplesOf(event.audio), event.codes);
    warn(event.warnings);
  }
}

at("speak").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const signal = begin();
  typed.cancel();
  recording = new Recording();
  try {
    await speak(at("text").value, signal);
    finish();
  } catch (error) {
    complain(error);
  }
});

// Sentences are spoken as soon as they are complete, one after another.
const typed = {
  done: 0,
  last: Promise.resolve(),
  cancel() {
    this.done = at("text").value.length;
    this.last = Promise.resolve();
  },
  take() {
    const text = at("text").value;
    if (this.done > text.length) this.done = text.length;
    const whole = text.slice(this.done).match(/^[^]*[.!?\u2026]["')\]]*(?=\s)|^[^]*\n/);
    if (!whole?.[0].trim()) return;
    this.done += whole[0].length;
    const signal = running && !running.signal.aborted ? running.signal : begin();
    recording ??= new Recording();
    this.last = this.last.then(() => speak(whole[0], signal)).then(finish).catch(complain);
  },
};

at("text").addEventListener("input", () => at("typing").checked && typed.take());
at("typing").addEventListener("change", () => {
  typed.cancel();
  recording = new Recording();
});

// --- chat ---

function turn(role, text) {
  const shown = document.createElement("li");
  shown.className = role;
  shown.textContent = text;
  at("turns").append(shown);
  return shown;
}

at("chat").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = at("question").value.trim();
  if (!question) return;
  const signal = begin();
  recording = new Recording();
  at("question").value = "";
  turn("user", question);
  const shown = turn("assistant", "");
  turns.push({ role: "user", content: question });
  const { voice, seed } = chosen();
  const asked = { messages: turns, modalities: ["text", "audio"], audio: { voice, format: "pcm16" }, stream: true, seed };
  try {
    for await (const chunk of server.events("v1/chat/completions", asked, signal)) {
      const audio = chunk.choices?.[0]?.delta?.audio ?? {};
      if (audio.transcript) shown.textContent += audio.transcript;
      if (audio.data) hear(samplesOf(audio.data));
      warn(chunk.warnings);
    }
    finish();
  } catch (error) {
    complain(error);
  }
  if (shown.textContent) turns.push({ role: "assistant", content: shown.textContent });
  else turns.pop();
  if (!shown.textContent) shown.remove();
});

at("forget").addEventListener("click", () => {
  stop();
  turns = [];
  at("turns").replaceChildren();
  at("question").focus();
});

// --- the doctor ---

async function examine(codes, audio, text) {
  at("verdict").textContent = "examining; this takes a while";
  at("report").hidden = true;
  at("alert").hidden = true;
  try {
    const asked = { codes: await asBase64(codes), audio: await asBase64(audio), text: text || undefined };
    const found = await server.ask("v1/doctor", asked);
    at("verdict").textContent = found.verdict;
    at("report").srcdoc = found.report;
    at("report").hidden = false;
  } catch (error) {
    at("verdict").textContent = "";
    complain(error);
  }
}

at("doctor").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const [codes, audio] = [at("codes").files[0], at("audio").files[0]];
  if (codes || audio) examine(codes, audio, at("said").value);
  else complain(new Error("choose a file with codes, one with audio, or both"));
});

at("examine-said").addEventListener("click", () => {
  if (recording?.frames) examine(recording.npy(), recording.wav(), at("said").value);
  else complain(new Error("nothing was said whose codes are known: speak a text first"));
});

// --- what was said ---

at("again").addEventListener("click", () => {
  player.stop();
  player.begin(recording.rate);
  for (const samples of recording.pieces) player.add(samples);
});

for (const button of document.querySelectorAll(".stop")) button.addEventListener("click", stop);

// --- rooms ---

const rooms = [...document.querySelectorAll("nav button")];
for (const button of rooms) {
  button.addEventListener("click", () => {
    for (const other of rooms) {
      other.toggleAttribute("aria-current", other === button);
      if (other === button) other.setAttribute("aria-current", "page");
      at(other.dataset.room).hidden = other !== button;
    }
    at("choices").hidden = !["speak", "chat"].includes(button.dataset.room);
    if (button.dataset.room === "interface") describe().catch(complain);
  });
}

async function describe() {
  at("base").textContent = new URL("v1", document.baseURI).href;
  if (at("operations").children.length) return;
  const { paths } = await server.get("openapi.json");
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const [name, words] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = `${method.toUpperCase()} ${path}`;
      words.textContent = operation.summary ?? "";
      at("operations").append(name, words);
    }
  }
}

async function start() {
  const { voices } = await server.get("v1/audio/voices");
  at("voice").replaceChildren(
    ...voices.map(({ id, name, default: chosen }) => new Option(name, id, chosen, chosen)),
  );
  const { data } = await server.get("v1/models");
  at("status").textContent = data[0].id;
  at("access").hidden = at("alert").hidden = true;
}

at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  server.key = at("key").value;
  start().catch(complain);
});

window.addEventListener("resize", () => recording && show());
start().catch(complain);
