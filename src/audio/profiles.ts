import type { Direction, Role } from '../unions.ts';
import type { Declared } from './report.ts';

/** Who is on channel 1: one role, whoever's leg was recorded, or nobody can tell. */
type First = Role | 'leg' | 'unknown';

interface Profile {
  title: string;
  /** What the channel numbers follow. */
  numbering: string;
  first: Record<Direction, First>;
  /** Whose leg is recorded unless "leg" says otherwise. */
  usualLeg?: Role;
  /** How to make this source put the caller on channel 1. */
  recipe: string;
}

const followsLeg = { inbound: 'leg', outbound: 'leg' } as const;
const followsCustomer = { inbound: 'caller', outbound: 'recipient' } as const;
const undocumented = { inbound: 'unknown', outbound: 'unknown' } as const;

/**
 * Sources of recordings and who is on their channel 1, as their manuals say (November 2026). Data: a new
 * source is a new entry. docs/profiles.md is generated from it.
 */
export const profiles = {
  'twilio-dial': {
    title: 'Twilio `<Dial record="record-from-answer-dual">`, fetched with `RequestedChannels=2`',
    numbering: 'Parent call on channel 1, child call on channel 2. The leg is the parent call.',
    first: followsLeg,
    usualLeg: 'caller',
    recipe:
      'Let the parent be the call of who places it: the inbound call, the browser or SIP phone that dials out, or the click-to-call leg that rings its own user first. Where the REST API calls the other party first, say `leg: recipient` and swap.',
  },
  'twilio-flex': {
    title: 'Twilio Flex, the external party’s leg recorded',
    numbering: 'External party on channel 1, Flex user on channel 2.',
    first: followsCustomer,
    recipe:
      'Inbound calls are right. For outbound calls start the recording on the Flex user’s own call instead, or swap the channels before you hand the file over.',
  },
  'twilio-conference': {
    title: 'Twilio conference recording',
    numbering:
      'First participant to join on channel 1, everybody else on channel 2. The leg is who joined first.',
    first: followsLeg,
    recipe:
      'Add the caller to the conference first, keep it to two participants, fetch with `RequestedChannels=2`, and say whose leg joined first.',
  },
  telnyx: {
    title: 'Telnyx `record_start` with `channels: dual`',
    numbering: 'The leg on which the recording was started on channel 1, the rest on channel 2.',
    first: followsLeg,
    recipe: 'Send `record_start` to the call control id of the caller’s leg, and say `leg: caller`.',
  },
  'vonage-split': {
    title: 'Vonage Voice API `record` with `split: conversation`',
    numbering: 'What the first party of the call says on channel 1, what it hears on channel 2.',
    first: followsLeg,
    usualLeg: 'caller',
    recipe:
      'Put `record` with `split: conversation` and `channels: 2` into the NCCO that answers the caller. Where the API itself placed the call to the recipient, say `leg: recipient` and swap.',
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
    numbering: 'What the recorded leg says on channel 1, what it hears on channel 2.',
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
      'Run MixMonitor on the caller’s channel with `r(in.wav)t(out.wav)`, merge with `sox -M in.wav out.wav call.wav`, and say `leg: caller`.',
  },
  mikopbx: {
    title: 'MikoPBX',
    numbering:
      'The source’s channel is the field `rec_src_channel`: 0 is channel 1, 1 is channel 2, empty is mono.',
    first: followsLeg,
    recipe: 'Say `leg: caller` for `rec_src_channel` 0 and `leg: recipient` for 1.',
  },
  jambonz: {
    title: 'jambonz call recording',
    numbering: 'The session’s leg on channel 1, the far side on channel 2.',
    first: { inbound: 'caller', outbound: 'leg' },
    recipe: 'Inbound calls are right. For outbound calls say whose leg the session was.',
  },
  'azure-acs': {
    title: 'Azure Communication Services, unmixed recording',
    numbering: 'Order in which audio was first heard, unless the order of participants is set.',
    first: undocumented,
    recipe:
      'Set `audioChannelParticipantOrdering` to the caller, then the recipient, and declare the map `caller,recipient`.',
  },
  'ai-agent': {
    title: 'Voice assistants (Vapi, Pipecat, Azure AI voice)',
    numbering: 'Person on channel 1, assistant on channel 2.',
    first: followsCustomer,
    recipe: 'Inbound calls are right. Swap the channels where the assistant placed the call.',
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
    recipe: 'Ask for dual-channel recordings, make one test call, listen, and declare the map.',
  },
  'zoom-phone': {
    title: 'Zoom Phone',
    numbering: 'Not documented; MP3 or M4A, likely mono.',
    first: undocumented,
    recipe: 'Check that the file has two channels at all, and declare the map.',
  },
  aircall: {
    title: 'Aircall',
    numbering: 'Not documented; MP3, likely mono.',
    first: undocumented,
    recipe: 'Check that a WAV with two channels can be had, and declare the map.',
  },
} as const satisfies Record<string, Profile>;

export type ProfileName = keyof typeof profiles;

/** How a recording's channels lie for HubSpot; `declare`: the profile alone does not say. */
export type Placement = 'as-is' | 'swapped' | 'declare';

export function isProfile(name: string): name is ProfileName {
  return Object.hasOwn(profiles, name);
}

/**
 * What the claimed profile says of the channels, given the direction and the recorded leg. Without a direction
 * it must say the same of both. Nothing where no profile, or an unknown one, is claimed.
 */
export function placeByProfile({ profile, direction, leg }: Declared): Placement | undefined {
  if (profile === undefined || !isProfile(profile)) return undefined;
  const { first, usualLeg }: Profile = profiles[profile];
  const directions: Direction[] = direction ? [direction] : ['inbound', 'outbound'];
  const onChannel1 = new Set(
    directions.map((way) => (first[way] === 'leg' ? (leg ?? usualLeg ?? 'unknown') : first[way])),
  );
  if (onChannel1.size > 1 || onChannel1.has('unknown')) return 'declare';
  return onChannel1.has('caller') ? 'as-is' : 'swapped';
}

/** docs/profiles.md, whole. */
export function describeProfiles(): string {
  const answers = { 'as-is': 'right', swapped: 'swapped', declare: 'declare the map' };
  const sections = Object.entries(profiles).map(([profile, { title, numbering, recipe }]) => {
    const row = (leg?: Role) => {
      const cells = (['inbound', 'outbound'] as const).map(
        (direction) => answers[placeByProfile({ profile, direction, ...(leg && { leg }) })!],
      );
      return `| ${leg ?? 'not said'} | ${cells.join(' | ')} |`;
    };
    const rows = [row(), row('caller'), row('recipient')].join('\n');
    return `## \`${profile}\`

${title}. ${numbering}

| recorded leg | inbound | outbound |
|---|---|---|
${rows}

${recipe}
`;
  });
  return `# Source profiles

HubSpot expects the caller, who placed the call, on channel 1, whatever the direction. A profile says what the
channel numbers of one source follow; with the direction of the call, and for some sources with the leg that was
recorded, it follows who is on channel 1. \`--profile NAME --direction inbound\` on the command line, \`profile\`
and \`direction\` in the API. Where a profile says \`declare the map\`, it proves nothing alone.

${sections.join('\n')}`;
}
