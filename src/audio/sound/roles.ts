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
 * For each sign in the signal, the log-odds that the caller is where the sign puts it. They were chosen with the calls
 * of docs/accuracy.md.
 */
const weights = { ringback: 3, firstSpeaker: 0.9, digits: 0.7 };
/** The sum that decides. Ringback alone reaches it. The first speaker and the digits together do not. */
const decisive = 2.5;

/** A statement about who is on channel 1. */
interface Statement {
  source: 'declared' | 'tag' | 'profile';
  placement: 'as-is' | 'swapped';
  value: string;
  confidence: number;
  /** The code if it is believed. */
  code: Code;
  /** The result if ringback is on the channel that it assigns to the caller. */
  contradicted: { verdict: Verdict; code: Code };
}

/**
 * Whether the caller is on channel 1. The first statement that exists decides: the declared map, then tags in the file,
 * then the source profile. Ringback can contradict it. Without a statement, the signal decides.
 *
 * @param known.profile the result of `placeByProfile`
 * @param known.signal absent if the audio could not be decoded: then only statements can prove the roles
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
  const stated = { source, value, confidence };
  if (placement === 'swapped') {
    return { verdict: 'fail', code: 'swapped_channels', evidence: [{ code: 'swapped_channels', ...stated }] };
  }
  if (known.signal?.ringbackOn === 1) {
    const ringback = ringbackEvidence(known.signal, 1, contradicted.code);
    return { ...contradicted, evidence: [{ code: contradicted.code, ...stated }, ringback] };
  }
  return { verdict: 'pass', code, evidence: [{ code, ...stated }] };
}

function firstStatement({
  declared,
  tags,
  profile,
}: Parameters<typeof judgeRoles>[0]): Statement | undefined {
  const mapContradicted = { verdict: 'fail', code: 'channel_map_contradicted' } as const;
  if (declared.channels) {
    return {
      source: 'declared',
      placement: placementOf(declared.channels),
      value: declared.channels.join(','),
      confidence: 0.95,
      code: 'declared_map',
      contradicted: mapContradicted,
    };
  }
  if (tags.channelMap) {
    return {
      source: 'tag',
      placement: placementOf(tags.channelMap),
      value: `${tags.from ?? 'tag'}: ${tags.channelMap.join(',')}`,
      confidence: 0.95,
      code: 'embedded_tags',
      contradicted: mapContradicted,
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

/**
 * The caller hears ringback, so ringback is on the recipient's channel. The recipient answers and usually speaks first.
 * The caller dials the digits.
 */
function judgeSignal(signal: SignalFacts | undefined): RoleJudgement {
  /** 0 without the sign, 1 if it puts the caller on channel 1, otherwise -1. */
  const vote = (channel: number | undefined, expected: 1 | 2) => {
    if (channel === undefined) return 0;
    return channel === expected ? 1 : -1;
  };
  const odds =
    weights.ringback * vote(signal?.ringbackOn, 2) +
    weights.firstSpeaker * vote(signal?.firstSpeakerOn, 2) +
    weights.digits * vote(signal?.digitsOn, 1);

  const judgement = (verdict: Verdict, code: Code) => ({
    verdict,
    code,
    evidence: signal ? signalEvidence(signal, code) : [],
  });
  if (odds >= decisive) return judgement('pass', 'signal_evidence');
  if (odds <= -decisive) return judgement('fail', 'swapped_channels');
  return judgement('inconclusive', 'channel_assignment_unknown');
}

function signalEvidence(signal: SignalFacts, code: Code): Evidence[] {
  const { ringbackOn, firstSpeakerOn, digitsOn } = signal;
  const evidence: Evidence[] = [];
  if (ringbackOn) evidence.push(ringbackEvidence(signal, ringbackOn, code));
  if (firstSpeakerOn) {
    evidence.push({
      code,
      source: 'signal',
      channel: firstSpeakerOn,
      value: 'first to speak',
      atSeconds: rounded(signal.channels[firstSpeakerOn - 1]!.firstSpeechSeconds!),
      confidence: likelihood(weights.firstSpeaker),
    });
  }
  if (digitsOn) {
    evidence.push({
      code,
      source: 'signal',
      channel: digitsOn,
      value: `${signal.channels[digitsOn - 1]!.digits} DTMF digits`,
      confidence: likelihood(weights.digits),
    });
  }
  return evidence;
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
