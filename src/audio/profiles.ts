import { type Direction, directions, type Role } from '../unions.ts';
import type { Declared } from './report.ts';

/** Who is on channel 1: a role, the party whose leg was recorded, or unknown. */
type First = Role | 'leg' | 'unknown';

interface Profile {
  title: string;
  /** What the channel numbers follow. */
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
    numbering: 'Parent call on channel 1, child call on channel 2. The leg is the parent call.',
    first: followsLeg,
    usualLeg: 'caller',
    recipe:
      'Make the caller’s call the parent call: the inbound call, the browser or SIP phone that dials out, or the click-to-call leg that rings its own user first. If the REST API calls the other party first, declare `leg: recipient` and swap the channels.',
  },
  'twilio-flex': {
    title: 'Twilio Flex, the external party’s leg recorded',
    numbering: 'External party on channel 1, Flex user on channel 2.',
    first: followsCustomer,
    recipe:
      'Inbound calls are right. For outbound calls, start the recording on the Flex user’s own call, or swap the channels before ingest.',
  },
  'twilio-conference': {
    title: 'Twilio conference recording',
    numbering:
      'First participant to join on channel 1, all others on channel 2. The leg is the participant who joined first.',
    first: followsLeg,
    recipe:
      'Add the caller to the conference first, allow only two participants, fetch with `RequestedChannels=2`, and declare whose leg joined first.',
  },
  telnyx: {
    title: 'Telnyx `record_start` with `channels: dual`',
    numbering: 'The leg on which the recording was started on channel 1, the rest on channel 2.',
    first: followsLeg,
    recipe: 'Send `record_start` to the call control id of the caller’s leg, and declare `leg: caller`.',
  },
  'vonage-split': {
    title: 'Vonage Voice API `record` with `split: conversation`',
    numbering: 'Audio from the first party of the call on channel 1, audio to it on channel 2.',
    first: followsLeg,
    usualLeg: 'caller',
    recipe:
      'Put `record` with `split: conversation` and `channels: 2` into the NCCO that answers the caller. If the API itself called the recipient, declare `leg: recipient` and swap the channels.',
  },
  'amazon-connect': {
    title: 'Amazon Connect',
    numbering: 'External party on channel 1, Connect user on channel 2.',
    first: followsCustomer,
    recipe:
      'Inbound calls are right. Swap the channels of outbound calls when the file arrives in the bucket.',
  },
  freeswitch: {
    title: 'FreeSWITCH with `RECORD_STEREO=true`',
    numbering: 'Audio from the recorded leg on channel 1, audio to it on channel 2.',
    first: followsLeg,
    usualLeg: 'caller',
    recipe:
      'Set `RECORD_STEREO=true` and start `record_session` on the A leg, in the dialplan of the caller. On the B leg set `RECORD_STEREO_SWAP=true` too.',
  },
  fusionpbx: {
    title: 'FusionPBX, default dialplan',
    numbering:
      'Inbound and local calls: caller on channel 1. Outbound calls: swapped by `record_stereo_swap`.',
    first: followsCustomer,
    recipe: 'Set `record_stereo_swap` to false for outbound routes; then use the profile `freeswitch`.',
  },
  'asterisk-mixmonitor': {
    title: 'Asterisk MixMonitor, files of `r()` and `t()` merged',
    numbering: 'Audio from the recorded channel on channel 1, audio to it on channel 2.',
    first: followsLeg,
    recipe:
      'Run MixMonitor on the caller’s channel with `r(in.wav)t(out.wav)`, merge with `sox -M in.wav out.wav call.wav`, and declare `leg: caller`.',
  },
  mikopbx: {
    title: 'MikoPBX',
    numbering:
      'The field `rec_src_channel` gives the source’s channel: 0 is channel 1, 1 is channel 2, empty is mono.',
    first: followsLeg,
    recipe: 'Declare `leg: caller` for `rec_src_channel` 0 and `leg: recipient` for 1.',
  },
  jambonz: {
    title: 'jambonz call recording',
    numbering: 'The session’s leg on channel 1, the far side on channel 2.',
    first: { inbound: 'caller', outbound: 'leg' },
    recipe: 'Inbound calls are right. For outbound calls, declare whose leg the session was.',
  },
  'azure-acs': {
    title: 'Azure Communication Services, unmixed recording',
    numbering: 'Order of first audio, unless the order of participants is set.',
    first: undocumented,
    recipe:
      'Set `audioChannelParticipantOrdering` to the caller and then the recipient, and declare the map `caller,recipient`.',
  },
  'ai-agent': {
    title: 'Voice assistants (Vapi, Pipecat, Azure AI voice)',
    numbering: 'Person on channel 1, assistant on channel 2.',
    first: followsCustomer,
    recipe: 'Inbound calls are right. Swap the channels if the assistant placed the call.',
  },
  plivo: {
    title: 'Plivo',
    numbering: 'Not documented.',
    first: undocumented,
    recipe: 'Make one test call, listen, and declare the map with every recording.',
  },
  signalwire: {
    title: 'SignalWire',
    numbering: 'Not documented.',
    first: undocumented,
    recipe:
      'Record with `stereo: true`, make one test call, listen, and declare the map with every recording.',
  },
  ringcentral: {
    title: 'RingCentral',
    numbering: 'Not documented.',
    first: undocumented,
    recipe: 'Request dual-channel recordings, make one test call, listen, and declare the map.',
  },
  'zoom-phone': {
    title: 'Zoom Phone',
    numbering: 'Not documented; MP3 or M4A, likely mono.',
    first: undocumented,
    recipe: 'Check that the file has two channels, and declare the map.',
  },
  aircall: {
    title: 'Aircall',
    numbering: 'Not documented; MP3, likely mono.',
    first: undocumented,
    recipe: 'Check that a WAV file with two channels is available, and declare the map.',
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

HubSpot expects the caller, who placed the call, on channel 1, whatever the direction. A profile describes what the
channel numbers of one source follow. Together with the direction of the call, and for some sources with the recorded
leg, it determines who is on channel 1. Use \`--profile NAME --direction inbound\` on the command line, and \`profile\`
and \`direction\` in the API. If a table says \`declare the map\`, the profile alone proves nothing.

${sections.join('\n')}`;
}
