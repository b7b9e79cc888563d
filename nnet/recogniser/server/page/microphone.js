// Hands the microphone's samples to the page, as integers of 16 bits.
const BLOCK = 4096; // samples of a message

class Microphone extends AudioWorkletProcessor {
  integers = new Int16Array(BLOCK);
  length = 0;

  process([channels]) {
    for (const sample of channels[0] ?? []) {
      this.integers[this.length++] = Math.round(32767 * Math.max(-1, Math.min(1, sample)));
      if (this.length === BLOCK) {
        this.port.postMessage(this.integers.buffer, [this.integers.buffer]);
        this.integers = new Int16Array(BLOCK);
        this.length = 0;
      }
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
