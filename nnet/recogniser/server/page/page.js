// The page of local/serve.sh: records or takes files, shows words, plays recordings, offers files to download.
const element = (id) => document.getElementById(id);
const UNSUPPORTED = 415; // what the server cannot read the browser may
const PALEST = 0.25;
let model = {};
let recording = null;

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

function showWords(place, words, player) {
  place.replaceChildren(
    ...words.flatMap((word) => {
      const span = document.createElement("span");
      span.textContent = word.word;
      span.title = `${Math.round(100 * word.confidence)} %, ${word.start} to ${word.end} s`;
      span.style.opacity = PALEST + (1 - PALEST) * word.confidence;
      if (player) {
        span.onclick = () => { player.currentTime = word.start; player.play(); };
      }
      return [span, " "];
    }),
  );
}

function showResult(found, name, audio) {
  const article = element("result").content.cloneNode(true).firstElementChild;
  article.querySelector("h2").textContent = name;
  const player = article.querySelector(".original");
  player.src = URL.createObjectURL(audio);
  if (found.words.length) {
    showWords(article.querySelector(".words"), found.words, player);
  } else {
    article.querySelector(".words").textContent = "(no words)";
  }
  if (model.enhances) {
    addEnhanced(article.querySelector(".players"), audio);
  }
  for (const [form, text] of Object.entries(found.files)) {
    const link = document.createElement("a");
    link.textContent = form;
    link.download = `${found.name}.${form}`;
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    article.querySelector(".downloads").append(link);
  }
  element("results").prepend(article);
}

async function addEnhanced(players, audio) {
  const answer = await fetch("enhance", { method: "POST", body: audio });
  if (answer.ok) {
    const player = document.createElement("audio");
    player.controls = true;
    player.className = "enhanced";
    player.src = URL.createObjectURL(await answer.blob());
    players.append(" enhanced: ", player);
  }
}

// A WAV file of 16 bits.
function wav(integers, rate) {
  const head = new DataView(new ArrayBuffer(44));
  const text = (place, letters) => [...letters].forEach((letter, i) => head.setUint8(place + i, letter.charCodeAt(0)));
  const bytes = 2 * integers.length;
  text(0, "RIFF"); head.setUint32(4, 36 + bytes, true); text(8, "WAVEfmt ");
  head.setUint32(16, 16, true); head.setUint16(20, 1, true); head.setUint16(22, 1, true);
  head.setUint32(24, rate, true); head.setUint32(28, 2 * rate, true); head.setUint16(32, 2, true); head.setUint16(34, 16, true);
  text(36, "data"); head.setUint32(40, bytes, true);
  return new Blob([head, integers], { type: "audio/wav" });
}

async function decodedByBrowser(file) {
  const context = new OfflineAudioContext(1, 1, model.rate);
  const decoded = await context.decodeAudioData(await file.arrayBuffer());
  const integers = new Int16Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel++) {
    decoded.getChannelData(channel).forEach((sample, i) => {
      integers[i] += (32767 * Math.max(-1, Math.min(1, sample))) / decoded.numberOfChannels;
    });
  }
  return wav(integers, model.rate);
}

async function transcribe(file, name) {
  const send = (body) => fetch(`transcribe?format=all&name=${encodeURIComponent(name)}`, { method: "POST", body });
  let answer = await send(file);
  if (answer.status === UNSUPPORTED) {
    try {
      file = await decodedByBrowser(file);
    } catch {
      throw new Error((await answer.text()).trim());
    }
    answer = await send(file);
  }
  if (!answer.ok) {
    throw new Error((await answer.text()).trim());
  }
  showResult(await answer.json(), name, file);
}

async function takeFiles(files) {
  const problems = [];
  let done = 0;
  for (const file of files) {
    say(`${file.name}: ${done} of ${files.length} …`);
    try {
      await transcribe(file, file.name);
    } catch (error) {
      problems.push(`${file.name}: ${error.message}`);
    }
    done += 1;
  }
  say(problems.join("; "), problems.length > 0);
}

async function startRecording() {
  const plain = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
  const context = new AudioContext();
  await context.audioWorklet.addModule("microphone.js");
  const node = new AudioWorkletNode(context, "microphone");
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
  const blocks = [];
  const rate = Math.round(context.sampleRate);
  recording = { stream, context, socket };
  node.port.onmessage = ({ data }) => {
    if (socket.readyState === WebSocket.OPEN && recording) {
      blocks.push(data);
      socket.send(data);
    }
  };
  socket.onopen = () => {
    socket.send(JSON.stringify({ rate }));
    context.createMediaStreamSource(stream).connect(node);
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.partial) {
      showWords(element("live"), message.partial.words);
    } else if (message.whole) {
      const name = `recording ${new Date().toLocaleTimeString()}`;
      showResult(message.whole, name, wavOf(blocks, rate));
      say("");
    } else {
      say(message.error, true);
    }
  };
  socket.onclose = () => {
    if (recording) {
      stopRecording();
      say(element("status").classList.contains("error") ? element("status").textContent : "the server has hung up", true);
    }
    element("live").replaceChildren();
  };
  element("record").textContent = "Stop";
  element("record").classList.add("recording");
  say("Speak …");
}

function wavOf(blocks, rate) {
  const integers = new Int16Array(blocks.reduce((sum, block) => sum + block.byteLength / 2, 0));
  let place = 0;
  for (const block of blocks) {
    integers.set(new Int16Array(block), place);
    place += block.byteLength / 2;
  }
  return wav(integers, rate);
}

function stopRecording() {
  if (!recording) {
    return;
  }
  const { stream, context, socket } = recording;
  recording = null;
  stream.getTracks().forEach((track) => track.stop());
  context.close();
  if (socket.readyState === WebSocket.OPEN) {
    socket.send("end");
    say("…");
  }
  element("record").textContent = "Record";
  element("record").classList.remove("recording");
}

element("record").onclick = () =>
  recording ? stopRecording() : startRecording().catch((error) => { stopRecording(); say(`no microphone: ${error.message}`, true); });
element("files").onchange = ({ target }) => takeFiles([...target.files]).then(() => { target.value = ""; });
document.ondragover = (event) => { event.preventDefault(); document.body.classList.add("dropping"); };
document.ondragleave = () => document.body.classList.remove("dropping");
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  takeFiles([...event.dataTransfer.files]);
};

model = await (await fetch("model")).json();
document.title = element("model").textContent = model.name;
const rates = Object.entries(model.word_error_rates ?? {}).map(([set, rate]) => `${set} ${rate} %`).join(", ");
element("about").textContent = `corpus: ${model.corpus}; licence: ${model.licence}` + (rates ? `; word errors: ${rates}` : "");
