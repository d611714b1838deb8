import { spawn } from 'node:child_process';
import { buffer } from 'node:stream/consumers';

/** Decodes one small MP4 file of two channels completely. Rejects if the audio is damaged. */
export type Mp4Decoder = (file: Uint8Array, sampleRate: number) => Promise<[Float32Array, Float32Array]>;

let found: Promise<Mp4Decoder | undefined> | undefined;

/**
 * Finds a decoder of AAC and ALAC, once per process. It is the package `node-web-audio-api`, which needs ALSA's
 * library, or `ffmpeg` if that package cannot be loaded. Undefined if this machine has neither.
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
  const version = await runFfmpeg(['-version']).catch(() => undefined);
  if (!version) return undefined;
  return async (file) => {
    const samples = await runFfmpeg(['-xerror', '-i', 'pipe:0', '-f', 'f32le', '-ac', '2', 'pipe:1'], file);
    const sampleFrames = Math.floor(samples.length / 8);
    const [left, right] = [new Float32Array(sampleFrames), new Float32Array(sampleFrames)];
    for (let i = 0; i < sampleFrames; i++) {
      left[i] = samples.readFloatLE(i * 8);
      right[i] = samples.readFloatLE(i * 8 + 4);
    }
    return [left, right];
  };
}

/** The output of ffmpeg. Rejects if ffmpeg is not installed or reports an error. */
async function runFfmpeg(args: string[], input?: Uint8Array): Promise<Buffer> {
  const child = spawn('ffmpeg', ['-v', 'error', ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  const exit = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`ffmpeg ended with ${code}`))));
  });
  child.stdin.on('error', () => {}); // ffmpeg may stop before it has read the whole file
  child.stdin.end(input);
  const [output] = await Promise.all([buffer(child.stdout), exit]);
  return output;
}
