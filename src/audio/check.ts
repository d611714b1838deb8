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

/** What a header may cost in bytes: as much for every file, and a part of what the file has. */
const structureBytes = (size: number) => 8 * 1024 * 1024 + size * 0.1;
const structureMilliseconds = 5000;

/** Called with the seconds of audio that have been heard, first with 0 once the structure has been read. */
export type Progress = (seconds: number) => void;

/**
 * Judges one recording in the order structure, channels, roles: a stage that fails is the last. Holds less than
 * a minute of audio at a time; how long decoding may take is for the caller to limit.
 *
 * @throws Problem where the source cannot be read; what is wrong with the file itself is in the report
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
    reader.allow(structureBytes(source.size), structureMilliseconds);
    const { track, tags, ...structure } = await readStructure(reader, declared);
    audio = structure.audio;
    evidence.push(...structure.evidence);
    if (!evidence.some(fails)) {
      progress(0);
      const signal = track && (await listen(reader, track, progress));
      evidence.push(...(signal ? judgeChannels(signal) : [notHeard(audio, track)]));
      if (!evidence.some(fails))
        roles = judgeRoles({ declared, tags, profile: placeByProfile(declared), signal });
    }
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    evidence.push(error.evidence);
  }
  return conclude(audio, evidence, roles);
}

/** Either nobody decodes this codec here, or this machine lacks what would. */
function notHeard({ codec = 'the codec' }: AudioFacts, track: Track | undefined): Evidence {
  const need = track ? ': install ALSA’s library (Debian: libasound2) or ffmpeg to have it decoded' : '';
  return headerEvidence('undecodable', codec + need);
}

/** What the whole of the audio sounds like; undefined where nothing here decodes it. */
async function listen(
  reader: SourceReader,
  track: Track,
  progress: Progress,
): Promise<SignalFacts | undefined> {
  const chunks = await track.decode(reader);
  if (!chunks) return undefined;
  reader.allow(structureBytes(reader.size) + reader.size, Number.POSITIVE_INFINITY);
  const meter = new SignalMeter(track.sampleRate);
  let frames = 0;
  for await (const [left, right] of chunks) {
    meter.push(left, right);
    frames += left.length;
    progress(frames / track.sampleRate);
  }
  return describeChannels(meter.finish());
}
