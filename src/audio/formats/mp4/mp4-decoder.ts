import { spawn } from 'node:child_process';
import { buffer } from 'node:stream/consumers';

/** Decodes one small MP4 file of two channels, whole. Rejects where it is damaged. */
export type Mp4Decoder = (file: Uint8Array, sampleRate: number) => Promise<[Float32Array, Float32Array]>;

let found: Promise<Mp4Decoder | undefined> | undefined;

/**
 * What decodes AAC and ALAC on this machine: the decoder that comes along, or an `ffmpeg` where that one cannot
 * be loaded, because it is linked against ALSA's library; `undefined` where there is neither. Looked up once.
 */
export function findMp4Decoder(): Promise<Mp4Decoder | undefined> {
  found ??= loadNative().then((native) => native ?? findFfmpeg());
  return found;
}

export async function loadNative(): Promise<Mp4Decoder | undefined> {
  const loaded = await import('node-web-audio-api').catch(() => undefined);
  if (!loaded) return undefined;
  return async (file, sampleRate) => {
    const context = new loaded.OfflineAudioContext(2, 1, sampleRate);
    const audio = await context.decodeAudioData(new Uint8Array(file).buffer);
    if (audio.numberOfChannels !== 2) throw new Error(`${audio.numberOfChannels} channels`);
    return [audio.getChannelData(0), audio.getChannelData(1)];
  };
}

export async function findFfmpeg(): Promise<Mp4Decoder | undefined> {
  const found = await run(['-version']).catch(() => undefined);
  if (!found) return undefined;
  return async (file) => {
    const samples = await run(['-xerror', '-i', 'pipe:0', '-f', 'f32le', '-ac', '2', 'pipe:1'], file);
    const frames = Math.floor(samples.length / 8);
    const [left, right] = [new Float32Array(frames), new Float32Array(frames)];
    for (let frame = 0; frame < frames; frame++) {
      left[frame] = samples.readFloatLE(frame * 8);
      right[frame] = samples.readFloatLE(frame * 8 + 4);
    }
    return [left, right];
  };
}

/** What ffmpeg writes; rejects where it is not there or says that something is wrong. */
async function run(args: string[], input?: Uint8Array): Promise<Buffer> {
  const child = spawn('ffmpeg', ['-v', 'error', ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  const exit = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`ffmpeg ended with ${code}`))));
  });
  child.stdin.on('error', () => {}); // it may refuse the file before it has read it all
  child.stdin.end(input);
  const [output] = await Promise.all([buffer(child.stdout), exit]);
  return output;
}
