import type { Role, Verdict } from '../../unions.ts';
import type { Code } from '../codes.ts';
import type { Placement } from '../profiles.ts';
import type { Declared, Evidence } from '../report.ts';
import type { Tags } from '../tags.ts';
import type { SignalFacts } from './channels.ts';

export interface RoleJudgement {
  verdict: Verdict;
  code: Code;
  evidence: Evidence[];
}

/**
 * Log-odds that the caller is on channel 1, for each thing heard, and from where on they decide. Ringback alone
 * decides; who speaks first and who dials never do, not even together. Set on the calls of docs/accuracy.md.
 */
const weights = { ringback: 3, firstSpeaker: 0.9, digits: 0.7 };
const decided = 2.5;

interface Statement {
  source: 'declared' | 'tag' | 'profile';
  placement: 'as-is' | 'swapped';
  value: string;
  confidence: number;
  /** The code where it is believed. */
  code: Code;
  /** What follows where ringback is on the channel that it gives to the caller. */
  contradicted: { verdict: Verdict; code: Code };
}

/**
 * Whether the caller is on channel 1. What is said counts before what is heard: the declared map, then tags in
 * the file, then the source profile, then the signal.
 *
 * @param profile what `placeByProfile` made of it
 * @param signal absent where the audio could not be decoded: then only what is said can prove the roles
 */
export function judgeRoles(known: {
  declared: Declared;
  tags: Tags;
  profile: Placement | undefined;
  signal: SignalFacts | undefined;
}): RoleJudgement {
  const statement = firstStatement(known);
  if (!statement) return judgeSignal(known.signal);

  const { source, placement, value, confidence, code, contradicted } = statement;
  const said = { source, value, confidence };
  if (placement === 'swapped') {
    return { verdict: 'fail', code: 'swapped_channels', evidence: [{ code: 'swapped_channels', ...said }] };
  }
  if (known.signal?.ringbackOn === 1) {
    const heard = ringbackEvidence(known.signal, 1, contradicted.code);
    return { ...contradicted, evidence: [{ code: contradicted.code, ...said }, heard] };
  }
  return { verdict: 'pass', code, evidence: [{ code, ...said }] };
}

function firstStatement({
  declared,
  tags,
  profile,
}: Parameters<typeof judgeRoles>[0]): Statement | undefined {
  const refused = { verdict: 'fail', code: 'channel_map_contradicted' } as const;
  if (declared.channels) {
    return {
      source: 'declared',
      placement: placementOf(declared.channels),
      value: declared.channels.join(','),
      confidence: 0.95,
      code: 'declared_map',
      contradicted: refused,
    };
  }
  if (tags.channelMap) {
    return {
      source: 'tag',
      placement: placementOf(tags.channelMap),
      value: `${tags.from ?? 'tag'}: ${tags.channelMap.join(',')}`,
      confidence: 0.95,
      code: 'embedded_tags',
      contradicted: refused,
    };
  }
  if (profile === 'as-is' || profile === 'swapped') {
    return {
      source: 'profile',
      placement: profile,
      value: [declared.profile, declared.direction, declared.leg && `leg of the ${declared.leg}`]
        .filter(Boolean)
        .join(', '),
      confidence: 0.9,
      code: 'source_profile',
      contradicted: { verdict: 'inconclusive', code: 'profile_contradicted' },
    };
  }
  return undefined;
}

function placementOf([first]: readonly [Role, Role]): 'as-is' | 'swapped' {
  return first === 'caller' ? 'as-is' : 'swapped';
}

/** Ringback is what the caller hears, so it lies on the recipient's channel; who answers usually speaks first. */
function judgeSignal(signal: SignalFacts | undefined): RoleJudgement {
  const callerOn1 = (channel: number | undefined, callers: 1 | 2) =>
    channel === undefined ? 0 : channel === callers ? 1 : -1;
  const odds =
    weights.ringback * callerOn1(signal?.ringbackOn, 2) +
    weights.firstSpeaker * callerOn1(signal?.firstSpeakerOn, 2) +
    weights.digits * callerOn1(signal?.digitsOn, 1);

  const verdict = odds >= decided ? 'pass' : odds <= -decided ? 'fail' : 'inconclusive';
  const code = (
    { pass: 'signal_evidence', fail: 'swapped_channels', inconclusive: 'channel_assignment_unknown' } as const
  )[verdict];
  return { verdict, code, evidence: signal ? heardEvidence(signal, code) : [] };
}

function heardEvidence(signal: SignalFacts, code: Code): Evidence[] {
  const { ringbackOn, firstSpeakerOn, digitsOn } = signal;
  const heard: Evidence[] = [];
  if (ringbackOn) heard.push(ringbackEvidence(signal, ringbackOn, code));
  if (firstSpeakerOn) {
    heard.push({
      code,
      source: 'signal',
      channel: firstSpeakerOn,
      value: 'first to speak',
      atSeconds: rounded(signal.channels[firstSpeakerOn - 1]!.firstSpeechSeconds!),
      confidence: likelihood(weights.firstSpeaker),
    });
  }
  if (digitsOn) {
    heard.push({
      code,
      source: 'signal',
      channel: digitsOn,
      value: `${signal.channels[digitsOn - 1]!.digits} DTMF digits`,
      confidence: likelihood(weights.digits),
    });
  }
  return heard;
}

function ringbackEvidence(signal: SignalFacts, channel: 1 | 2, code: Code): Evidence {
  const { ringbackSeconds, firstRingbackSeconds } = signal.channels[channel - 1]!;
  return {
    code,
    source: 'signal',
    channel,
    value: `ringback for ${ringbackSeconds.toFixed(1)} s`,
    atSeconds: rounded(firstRingbackSeconds!),
    confidence: likelihood(weights.ringback),
  };
}

function likelihood(odds: number): number {
  return rounded(1 / (1 + Math.exp(-odds)));
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
