import fc from 'fast-check';
import t from 'tap';
import { codes } from '../../../src/audio/codes.ts';
import type { Placement } from '../../../src/audio/profiles.ts';
import type { Declared } from '../../../src/audio/report.ts';
import type { ChannelSignal, SignalFacts } from '../../../src/audio/sound/channels.ts';
import { judgeRoles } from '../../../src/audio/sound/roles.ts';
import type { Role } from '../../../src/unions.ts';

type Signs = Pick<SignalFacts, 'ringbackOn' | 'firstSpeakerOn' | 'digitsOn'>;

function signalOf(signs: Signs): SignalFacts {
  const channel: ChannelSignal = {
    rmsDb: -25,
    speechSeconds: 5,
    firstSpeechSeconds: 3,
    crosstalkDb: -90,
    ringbackSeconds: 2,
    ringbackDb: -25,
    firstRingbackSeconds: 0.4,
    digits: 4,
  };
  return {
    channels: [channel, channel],
    correlation: 0,
    envelopeCorrelation: 0,
    ...signs,
  };
}

const right: [Role, Role] = ['caller', 'recipient'];
const wrong: [Role, Role] = ['recipient', 'caller'];

interface Known {
  map?: [Role, Role];
  tag?: [Role, Role];
  profile?: Placement;
  signs?: Signs;
}

function judge({ map, tag, profile, signs }: Known) {
  const declared: Declared = {
    ...(map && { channels: map }),
    ...(profile && { profile: 'freeswitch' }),
  };
  const tags = tag ? { channelMap: tag, from: 'ICMT' } : {};
  return judgeRoles({ declared, tags, profile, signal: signs && signalOf(signs) });
}

const rows: [name: string, known: Known, code: string][] = [
  ['caller,recipient declared', { map: right }, 'declared_map'],
  ['recipient,caller declared', { map: wrong }, 'swapped_channels'],
  ['caller,recipient in a tag', { tag: right }, 'embedded_tags'],
  ['recipient,caller in a tag', { tag: wrong }, 'swapped_channels'],
  ['a profile with as-is order', { profile: 'as-is' }, 'source_profile'],
  ['a profile with swapped order', { profile: 'swapped' }, 'swapped_channels'],
  ['a profile that cannot tell', { profile: 'declare' }, 'channel_assignment_unknown'],
  ['nothing', {}, 'channel_assignment_unknown'],
  ['a signal without signs', { signs: {} }, 'channel_assignment_unknown'],

  ['a declared map before a tag', { map: right, tag: wrong }, 'declared_map'],
  ['a tag before a profile', { tag: right, profile: 'swapped' }, 'embedded_tags'],
  ['a profile before ringback', { profile: 'swapped', signs: { ringbackOn: 2 } }, 'swapped_channels'],
  [
    'ringback after a profile that cannot tell',
    { profile: 'declare', signs: { ringbackOn: 2 } },
    'signal_evidence',
  ],

  ['a declared map that ringback supports', { map: right, signs: { ringbackOn: 2 } }, 'declared_map'],
  ['a declared map against ringback', { map: right, signs: { ringbackOn: 1 } }, 'channel_map_contradicted'],
  ['a tag against ringback', { tag: right, signs: { ringbackOn: 1 } }, 'channel_map_contradicted'],
  ['a profile against ringback', { profile: 'as-is', signs: { ringbackOn: 1 } }, 'profile_contradicted'],
  ['a swapped map against ringback', { map: wrong, signs: { ringbackOn: 2 } }, 'swapped_channels'],
  [
    'a declared map against weak signs',
    { map: right, signs: { firstSpeakerOn: 1, digitsOn: 2 } },
    'declared_map',
  ],

  ['ringback on 2', { signs: { ringbackOn: 2 } }, 'signal_evidence'],
  ['ringback on 1', { signs: { ringbackOn: 1 } }, 'swapped_channels'],
  ['first speaker on 2', { signs: { firstSpeakerOn: 2 } }, 'channel_assignment_unknown'],
  ['digits on 1', { signs: { digitsOn: 1 } }, 'channel_assignment_unknown'],
  [
    'first speaker on 2, digits on 1',
    { signs: { firstSpeakerOn: 2, digitsOn: 1 } },
    'channel_assignment_unknown',
  ],
  [
    'first speaker on 1, digits on 2',
    { signs: { firstSpeakerOn: 1, digitsOn: 2 } },
    'channel_assignment_unknown',
  ],
  [
    'ringback on 2, first speaker on 1',
    { signs: { ringbackOn: 2, firstSpeakerOn: 1 } },
    'channel_assignment_unknown',
  ],
  [
    'ringback on 1, first speaker on 2',
    { signs: { ringbackOn: 1, firstSpeakerOn: 2 } },
    'channel_assignment_unknown',
  ],
  ['all signs for 1', { signs: { ringbackOn: 2, firstSpeakerOn: 2, digitsOn: 1 } }, 'signal_evidence'],
  ['all signs for 2', { signs: { ringbackOn: 1, firstSpeakerOn: 1, digitsOn: 2 } }, 'swapped_channels'],
];

for (const [name, known, code] of rows) {
  const { severity } = codes[code as keyof typeof codes];
  t.test(`${name} -> ${severity}: ${code}`, async (t) => {
    const judged = judge(known);
    t.strictSame([judged.verdict, judged.code], [severity, code]);
    t.ok(judged.evidence.every((item) => item.code === code && item.confidence > 0.5 && item.confidence < 1));
  });
}

t.test('evidence has its source, the measured value and the time', async (t) => {
  const { evidence } = judge({ map: right, signs: { ringbackOn: 1 } });
  t.match(evidence, [
    { source: 'declared', value: 'caller,recipient' },
    { source: 'signal', channel: 1, value: 'ringback for 2.0 s', atSeconds: 0.4 },
  ]);
  t.match(judge({ tag: wrong }).evidence, [{ source: 'tag', value: 'ICMT: recipient,caller' }]);
  t.match(judge({ signs: { firstSpeakerOn: 1, digitsOn: 2 } }).evidence, [
    { channel: 1, value: 'first to speak', atSeconds: 3 },
    { channel: 2, value: '4 DTMF digits' },
  ]);
});

const channel = fc.constantFrom(undefined, 1 as const, 2 as const);
const channelMap = fc.constantFrom(undefined, right, wrong);
const anything = fc.record({
  map: channelMap,
  tag: channelMap,
  profile: fc.constantFrom(undefined, 'as-is' as const, 'swapped' as const, 'declare' as const),
  signs: fc.option(fc.record({ ringbackOn: channel, firstSpeakerOn: channel, digitsOn: channel }), {
    nil: undefined,
  }),
});
const otherChannel = (channel: 1 | 2 | undefined) => channel && ((3 - channel) as 1 | 2);

t.test('ringback on channel 1 is never a pass', async () => {
  fc.assert(
    fc.property(
      anything,
      (known) => judge(known as Known).verdict !== 'pass' || known.signs?.ringbackOn !== 1,
    ),
  );
});

t.test('the same signs on the other channels give the opposite verdict', async () => {
  const verdicts = { pass: 'fail', fail: 'pass', inconclusive: 'inconclusive' };
  fc.assert(
    fc.property(channel, channel, channel, (ringbackOn, firstSpeakerOn, digitsOn) => {
      const signs = { ringbackOn, firstSpeakerOn, digitsOn } as Signs;
      const mirrored = {
        ringbackOn: otherChannel(ringbackOn),
        firstSpeakerOn: otherChannel(firstSpeakerOn),
        digitsOn: otherChannel(digitsOn),
      } as Signs;
      return judge({ signs: mirrored }).verdict === verdicts[judge({ signs }).verdict];
    }),
  );
});
