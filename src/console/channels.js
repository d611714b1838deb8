// A picture of both channels: who speaks when. Decoded by the browser, so only for calls of modest length.
const longestSeconds = 900;
const columns = 600;

/** Draws the loudness of both channels under their names; a click seeks, and a line follows the sound. */
export async function drawChannels(canvas, sound, { url, lanes, durationSeconds = 0 }) {
  if (durationSeconds === 0 || durationSeconds > longestSeconds) throw new Error('too long to draw');
  const bytes = await (await fetch(url)).arrayBuffer();
  const audio = await new OfflineAudioContext(2, 1, 8000).decodeAudioData(bytes);
  const peaks = lanes.map((_, lane) =>
    peaksOf(audio.getChannelData(Math.min(lane, audio.numberOfChannels - 1))),
  );
  const draw = () => paint(canvas, lanes, peaks, sound.currentTime / audio.duration);
  canvas.addEventListener('click', (event) => {
    sound.currentTime = (event.offsetX / canvas.clientWidth) * audio.duration;
    sound.play();
  });
  sound.addEventListener('timeupdate', draw);
  sound.addEventListener('seeking', draw);
  new ResizeObserver(draw).observe(canvas);
}

function peaksOf(samples) {
  const step = Math.max(1, Math.floor(samples.length / columns));
  return Array.from({ length: columns }, (_, column) => {
    let peak = 0;
    for (let index = column * step; index < (column + 1) * step; index++) {
      peak = Math.max(peak, Math.abs(samples[index] ?? 0));
    }
    return peak;
  });
}

function paint(canvas, lanes, peaks, position) {
  const style = getComputedStyle(canvas); // a canvas knows no custom properties, so two ordinary ones carry the colours
  canvas.width = canvas.clientWidth * devicePixelRatio;
  canvas.height = canvas.clientHeight * devicePixelRatio;
  const { width, height } = canvas;
  const pen = canvas.getContext('2d');
  const lane = height / peaks.length;
  pen.font = `${11 * devicePixelRatio}px system-ui`;
  for (const [index, channel] of peaks.entries()) {
    pen.fillStyle = style.color;
    for (const [column, peak] of channel.entries()) {
      const tall = Math.max(1, peak * lane * 0.9);
      const middle = (index + 0.5) * lane;
      pen.fillRect((column * width) / columns, middle - tall / 2, Math.max(1, width / columns - 1), tall);
    }
    pen.fillText(lanes[index], 6, index * lane + 14 * devicePixelRatio);
  }
  pen.fillStyle = style.caretColor;
  pen.fillRect(position * width, 0, 2 * devicePixelRatio, height);
}
