// @ts-check
// A picture of both channels: who speaks when.

/** The browser decodes the whole audio, so it must not be too long. */
const maxSeconds = 900;
const columns = 600;

/**
 * Draws the loudness of both channels. A click seeks, and a line follows the playback.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLAudioElement} sound
 * @param {{ url: string, channelNames: string[], durationSeconds?: number | undefined }} recording
 * @throws {Error} if the duration is unknown or too long
 */
export async function drawChannels(canvas, sound, { url, channelNames, durationSeconds = 0 }) {
  if (durationSeconds === 0 || durationSeconds > maxSeconds) throw new Error('too long to draw');
  const bytes = await (await fetch(url)).arrayBuffer();
  // The context only decodes: 2 channels, 1 sample frame, resampled to 8000 Hz.
  const audio = await new OfflineAudioContext(2, 1, 8000).decodeAudioData(bytes);
  // Mono is drawn as two equal channels.
  const peaks = channelNames.map((_, channel) =>
    peaksOf(audio.getChannelData(Math.min(channel, audio.numberOfChannels - 1))),
  );
  const draw = () => paint(canvas, channelNames, peaks, sound.currentTime / audio.duration);
  canvas.addEventListener('click', (event) => {
    sound.currentTime = (event.offsetX / canvas.clientWidth) * audio.duration;
    sound.play();
  });
  sound.addEventListener('timeupdate', draw);
  sound.addEventListener('seeking', draw);
  new ResizeObserver(draw).observe(canvas);
}

/**
 * @param {Float32Array} samples
 * @returns {number[]} the loudest sample of each column, 0 to 1
 */
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

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string[]} channelNames
 * @param {number[][]} peaks of each channel, one for each column
 * @param {number} position of the playback, 0 to 1
 */
function paint(canvas, channelNames, peaks, position) {
  const pen = canvas.getContext('2d');
  if (!pen) return;
  // A canvas cannot use custom properties, so style.css sets its two colours as `color` and `caret-color`.
  const style = getComputedStyle(canvas);
  canvas.width = canvas.clientWidth * devicePixelRatio;
  canvas.height = canvas.clientHeight * devicePixelRatio;
  const { width, height } = canvas;
  const channelHeight = height / peaks.length;
  pen.font = `${11 * devicePixelRatio}px system-ui`;
  for (const [channel, columnPeaks] of peaks.entries()) {
    pen.fillStyle = style.color;
    const middle = (channel + 0.5) * channelHeight;
    for (const [column, peak] of columnPeaks.entries()) {
      const barHeight = Math.max(1, peak * channelHeight * 0.9);
      pen.fillRect(
        (column * width) / columns,
        middle - barHeight / 2,
        Math.max(1, width / columns - 1),
        barHeight,
      );
    }
    pen.fillText(channelNames[channel] ?? '', 6, channel * channelHeight + 14 * devicePixelRatio);
  }
  pen.fillStyle = style.caretColor;
  pen.fillRect(position * width, 0, 2 * devicePixelRatio, height);
}
