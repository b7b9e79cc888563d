// Hands the microphone's samples to the page, as integers of 16 bits.
class Microphone extends AudioWorkletProcessor {
  process([channels]) {
    if (channels.length) {
      const samples = channels[0];
      const integers = new Int16Array(samples.length);
      for (let i = 0; i < samples.length; i++) {
        integers[i] = Math.round(32767 * Math.max(-1, Math.min(1, samples[i])));
      }
      this.port.postMessage(integers.buffer, [integers.buffer]);
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
