import { type Direction, directions, type Role } from '../unions.ts';
import type { Declared } from './report.ts';

/** Who is on channel 1: a role, the party whose leg was recorded, or unknown. */
type First = Role | 'leg' | 'unknown';

interface Profile {
  title: string;
  /** Who or what is on which channel. */
  numbering: string;
  first: Record<Direction, First>;
  /** Whose leg is recorded if `leg` is not declared. */
  usualLeg?: Role;
  /** How to make this source put the caller on channel 1. */
  recipe: string;
}

const followsLeg = { inbound: 'leg', outbound: 'leg' } as const;
const followsCustomer = { inbound: 'caller', outbound: 'recipient' } as const;
const undocumented = { inbound: 'unknown', outbound: 'unknown' } as const;

/**
 * Sources of recordings and who is on their channel 1, from their manuals (November 2026). To add a source, add an
 * entry. docs/profiles.md is generated from this table.
 */
export const profiles = {
  'twilio-dial': {
    title: 'Twilio `<Dial record="record-from-answer-dual">`, fetched with `RequestedChannels=2`',
    numbering:
      'The parent call is on channel 1 and the child call on channel 2. The recorded leg is the parent call.',
    first: followsLeg,
    usualLeg: 'caller',
    recipe:
      'Make the caller’s call the parent call: the inbound call, the browser or SIP phone that dials out, or the click-to-call leg that rings its own user first. If the REST API calls the other party first, the recorded leg is the recipient’s: swap the channels and declare the map `caller,recipient`.',
  },
  'twilio-flex': {
    title: 'Twilio Flex, recorded on the external party’s leg',
    numbering: 'The external party is on channel 1 and the Flex user on channel 2.',
    first: followsCustomer,
    recipe:
      'Inbound calls are right. For outbound calls, start the recording on the Flex user’s own call, or swap the channels before ingest. In both cases, declare the map `caller,recipient`.',
  },
  'twilio-conference': {
    title: 'Twilio conference recording',
    numbering:
      'The first participant to join is on channel 1 and all others are on channel 2. The recorded leg is that of the first participant.',
    first: followsLeg,
    recipe:
      'Add the caller to the conference first, and allow only two participants. Fetch the recording with `RequestedChannels=2`, and declare with `leg` who joined first.',
  },
  telnyx: {
    title: 'Telnyx `record_start` with `channels: dual`',
    numbering: 'The leg on which the recording was started is on channel 1 and the rest on channel 2.',
    first: followsLeg,
    recipe: 'Send `record_start` to the call control id of the caller’s leg, and declare `leg: caller`.',
  },
  'vonage-split': {
    title: 'Vonage Voice API `record` with `split: conversation`',
    numbering:
      'The audio from the first party of the call is on channel 1 and the audio to that party on channel 2.',
    first: followsLeg,
    usualLeg: 'caller',
    recipe:
      'Put `record` with `split: conversation` and `channels: 2` into the NCCO that answers the caller. If the API itself called the recipient, the recorded leg is the recipient’s: swap the channels and declare the map `caller,recipient`.',
  },
  'amazon-connect': {
    title: 'Amazon Connect',
    numbering: 'The external party is on channel 1 and the Connect user on channel 2.',
    first: followsCustomer,
    recipe:
      'Inbound calls are right. Swap the channels of outbound calls when the file arrives in the bucket, and declare the map `caller,recipient`.',
  },
  freeswitch: {
    title: 'FreeSWITCH with `RECORD_STEREO=true`',
    numbering: 'The audio from the recorded leg is on channel 1 and the audio to that leg on channel 2.',
    first: followsLeg,
    usualLeg: 'caller',
    recipe:
      'Set `RECORD_STEREO=true` and start `record_session` on the A leg, in the dialplan of the caller. If you record the B leg, set `RECORD_STEREO_SWAP=true` too, and declare the map `caller,recipient`.',
  },
  fusionpbx: {
    title: 'FusionPBX, default dialplan',
    numbering:
      'The caller is on channel 1 of inbound and local calls. `record_stereo_swap` swaps the channels of outbound calls.',
    first: followsCustomer,
    recipe: 'Set `record_stereo_swap` to false for outbound routes. Then use the profile `freeswitch`.',
  },
  'asterisk-mixmonitor': {
    title: 'Asterisk MixMonitor, with the files of `r()` and `t()` merged',
    numbering:
      'The audio from the recorded Asterisk channel is on channel 1 and the audio to it on channel 2.',
    first: followsLeg,
    recipe:
      'Run MixMonitor on the caller’s Asterisk channel with `r(in.wav)t(out.wav)`. Merge the files with `sox -M in.wav out.wav call.wav`, and declare `leg: caller`.',
  },
  mikopbx: {
    title: 'MikoPBX',
    numbering:
      'The field `rec_src_channel` gives the channel of the call’s source: 0 is channel 1, 1 is channel 2, empty is mono.',
    first: followsLeg,
    recipe: 'Declare `leg: caller` for `rec_src_channel` 0 and `leg: recipient` for 1.',
  },
  jambonz: {
    title: 'jambonz call recording',
    numbering: 'The leg of the session is on channel 1 and the far side on channel 2.',
    first: { inbound: 'caller', outbound: 'leg' },
    recipe: 'Inbound calls are right. For outbound calls, declare with `leg` whose leg the session was.',
  },
  'azure-acs': {
    title: 'Azure Communication Services, unmixed recording',
    numbering:
      'The channels are in the order in which the participants are first heard, unless their order is set.',
    first: undocumented,
    recipe:
      'Set `audioChannelParticipantOrdering` to the caller and then the recipient, and declare the map `caller,recipient`.',
  },
  'ai-agent': {
    title: 'Voice assistants (Vapi, Pipecat, Azure AI voice)',
    numbering: 'The person is on channel 1 and the assistant on channel 2.',
    first: followsCustomer,
    recipe:
      'Inbound calls are right. If the assistant placed the call, swap the channels and declare the map `caller,recipient`.',
  },
  plivo: {
    title: 'Plivo',
    numbering: 'Not documented.',
    first: undocumented,
    recipe: 'Make one test call and listen to it. Then declare the map with every recording.',
  },
  signalwire: {
    title: 'SignalWire',
    numbering: 'Not documented.',
    first: undocumented,
    recipe:
      'Record with `stereo: true`. Make one test call and listen to it. Then declare the map with every recording.',
  },
  ringcentral: {
    title: 'RingCentral',
    numbering: 'Not documented.',
    first: undocumented,
    recipe:
      'Request dual-channel recordings. Make one test call and listen to it. Then declare the map with every recording.',
  },
  'zoom-phone': {
    title: 'Zoom Phone',
    numbering: 'Not documented. The recordings are MP3 or M4A, probably mono.',
    first: undocumented,
    recipe: 'Check that the file has two channels. Then declare the map.',
  },
  aircall: {
    title: 'Aircall',
    numbering: 'Not documented. The recordings are MP3, probably mono.',
    first: undocumented,
    recipe: 'Check that a WAV file with two channels is available. Then declare the map.',
  },
} as const satisfies Record<string, Profile>;

/** How a recording's channels are ordered, compared with what HubSpot expects; `declare` if the profile cannot tell. */
export type Placement = 'as-is' | 'swapped' | 'declare';

export function isProfile(name: string): name is keyof typeof profiles {
  return Object.hasOwn(profiles, name);
}

/**
 * How the channels are ordered according to the declared profile, direction and leg. Without a direction, both
 * directions must agree. Undefined if no profile is declared, or an unknown one.
 */
export function placeByProfile({ profile, direction, leg }: Declared): Placement | undefined {
  if (profile === undefined || !isProfile(profile)) return undefined;
  const { first, usualLeg }: Profile = profiles[profile];
  const possible = direction ? [direction] : directions;
  const onChannel1 = new Set(
    possible.map((way) => (first[way] === 'leg' ? (leg ?? usualLeg ?? 'unknown') : first[way])),
  );
  if (onChannel1.size > 1 || onChannel1.has('unknown')) return 'declare';
  return onChannel1.has('caller') ? 'as-is' : 'swapped';
}

/** docs/profiles.md, whole. */
export function describeProfiles(): string {
  const labels = { 'as-is': 'right', swapped: 'swapped', declare: 'declare the map' };
  const sections = Object.entries(profiles).map(([profile, { title, numbering, recipe }]) => {
    const rowOf = (leg?: Role) => {
      const row = directions.map(
        (direction) => labels[placeByProfile({ profile, direction, ...(leg && { leg }) })!],
      );
      return `| ${leg ?? 'not declared'} | ${row.join(' | ')} |`;
    };
    const rows = [rowOf(), rowOf('caller'), rowOf('recipient')].join('\n');
    return `## \`${profile}\`

${title}. ${numbering}

| recorded leg | inbound | outbound |
|---|---|---|
${rows}

${recipe}
`;
  });
  return `# Source profiles

HubSpot expects the caller, who placed the call, on channel 1 of inbound and outbound calls. A profile describes which
party one source of recordings puts on which channel. Declare it with \`--profile NAME\` on the command line, or with the
field \`profile\` in the API. Declare the direction of the call with it, and for some profiles whose leg was recorded
(\`direction\`, \`leg\`).

Each table shows what follows from a profile:

- \`right\`: the caller is on channel 1.
- \`swapped\`: the caller is on channel 2, and the recording is rejected as \`swapped_channels\`.
- \`declare the map\`: the profile proves nothing. Declare who is on which channel, with \`--channels\` on the command line
  or the field \`channels\` in the API.

A profile describes a recording as its source wrote it. After you have swapped the channels, declare the map
\`caller,recipient\`. A declared map counts before a profile.

${sections.join('\n')}`;
}
