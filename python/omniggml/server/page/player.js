// Pieces of sound, played one behind the other as they come.

const AHEAD = 0.06; // seconds, for the first piece to be in time

export class Player {
  #context = null;
  #sources = new Set();
  #end = 0;

  // Called where a person did something, without which browsers keep silent.
  begin(rate) {
    this.stop();
    if (this.#context?.sampleRate !== rate) {
      this.#context?.close();
      this.#context = new AudioContext({ sampleRate: rate });
    }
    this.#context.resume();
  }

  add(samples) {
    if (!samples.length || !this.#context) return;
    const buffer = this.#context.createBuffer(1, samples.length, this.#context.sampleRate);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(this.#context.destination);
    source.onended = () => this.#sources.delete(source);
    this.#end = Math.max(this.#end, this.#context.currentTime + AHEAD);
    source.start(this.#end);
    this.#end += buffer.duration;
    this.#sources.add(source);
  }

  stop() {
    for (const source of this.#sources) source.stop();
    this.#sources.clear();
    this.#end = 0;
  }
}
