import { Finding, headerEvidence } from './finding.ts';
import type { Track } from './formats/format.ts';
import { placeByProfile } from './profiles.ts';
import type { AudioFacts, Declared, Evidence, Report } from './report.ts';
import { describeChannels, type SignalFacts } from './sound/channels.ts';
import { judgeChannels } from './sound/faults.ts';
import { judgeRoles, type RoleJudgement } from './sound/roles.ts';
import { SignalMeter } from './sound/signal.ts';
import type { Source } from './source.ts';
import { SourceReader } from './source-reader.ts';
import { readStructure } from './structure.ts';
import { conclude, fails } from './verdict.ts';

/** Bytes that may be read for the structure: 8 MiB, and a tenth of the file, because tables of MP4 grow with it. */
const maxStructureBytes = (fileBytes: number) => 8 * 1024 * 1024 + fileBytes * 0.1;
const maxStructureMs = 5000;

/** Called with the seconds of audio measured so far; first with 0, when the structure has been read. */
export type Progress = (seconds: number) => void;

/**
 * Checks one recording: its structure, then its channels, then the roles. The check ends with the first stage that
 * fails. It holds less than a minute of audio at a time. The caller must limit how long decoding may take.
 *
 * @throws Problem if the source cannot be read. Faults of the file itself are in the report.
 */
export async function check(
  source: Source,
  declared: Declared,
  progress: Progress = () => {},
): Promise<Report> {
  const reader = new SourceReader(source);
  const evidence: Evidence[] = [];
  let audio: AudioFacts = { size: source.size };
  let roles: RoleJudgement | undefined;
  try {
    reader.allow(maxStructureBytes(source.size), maxStructureMs);
    const { track, tags, ...structure } = await readStructure(reader, declared);
    audio = structure.audio;
    evidence.push(...structure.evidence);
    if (!evidence.some(fails)) {
      progress(0);
      const signal = track && (await measure(reader, track, progress));
      evidence.push(...(signal ? judgeChannels(signal) : [undecodable(audio, track)]));
      if (!evidence.some(fails))
        roles = judgeRoles({ declared, tags, profile: placeByProfile(declared), signal });
    }
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    evidence.push(error.evidence);
  }
  return conclude(audio, evidence, roles);
}

/** Without a track, Playhead has no decoder for this codec. With a track, this machine lacks the decoder. */
function undecodable({ codec = 'the codec' }: AudioFacts, track: Track | undefined): Evidence {
  const advice = track ? ': install ALSA’s library (Debian: libasound2) or ffmpeg to have it decoded' : '';
  return headerEvidence('undecodable', codec + advice);
}

/** Decodes and measures all of the audio; undefined if this machine lacks the decoder. */
async function measure(
  reader: SourceReader,
  track: Track,
  progress: Progress,
): Promise<SignalFacts | undefined> {
  const chunks = await track.decode(reader);
  if (!chunks) return undefined;
  // All of the audio is read once, and some of it twice: see `decodeUnits`.
  reader.allow(reader.size + maxStructureBytes(reader.size), Number.POSITIVE_INFINITY);
  const meter = new SignalMeter(track.sampleRate);
  let sampleFrames = 0;
  for await (const [left, right] of chunks) {
    meter.push(left, right);
    sampleFrames += left.length;
    progress(sampleFrames / track.sampleRate);
  }
  return describeChannels(meter.finish());
}
