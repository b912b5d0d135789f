// Questions to the server, with the key, and what it answers.

export class Server {
  key = sessionStorage.getItem("key") ?? "";

  async #fetch(path, options) {
    const headers = { ...options.headers };
    if (this.key) {
      if (!/^[\x20-\x7e]*$/.test(this.key)) {
        throw Object.assign(new Error("the API key is wrong: it has letters that no header can carry"), { status: 401 });
      }
      headers.Authorization = `Bearer ${this.key}`;
      sessionStorage.setItem("key", this.key);
    }
    const response = await fetch(path, { ...options, headers });
    if (response.ok) return response;
    const told = await response.json().catch(() => null);
    const error = new Error(told?.error?.message ?? `the server answers with ${response.status}`);
    error.status = response.status;
    throw error;
  }

  #post(path, body, signal) {
    const headers = { "Content-Type": "application/json" };
    return this.#fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  }

  async get(path) {
    return (await this.#fetch(path, {})).json();
  }

  async ask(path, body) {
    return (await this.#post(path, body)).json();
  }

  // Server-sent events, each as it comes.
  async *events(path, body, signal) {
    const response = await this.#post(path, body, signal);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let left = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (left + value).split("\n\n");
      left = events.pop();
      for (const event of events) {
        const data = event.replace(/^data: /, "");
        if (data === "[DONE]") return;
        const told = JSON.parse(data);
        if (told.type === "error") throw new Error(told.error.message);
        yield told;
      }
    }
  }
}

// Base64 of 16-bit samples -> Float32Array in [-1, 1].
export function samplesOf(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length >> 1 }, (_, i) => view.getInt16(2 * i, true) / 32768);
}

// A file or blob -> its bytes in base64; nothing of nothing.
export async function asBase64(blob) {
  if (!blob) return undefined;
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}
