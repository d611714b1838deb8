import { isProfile } from '../audio/profiles.ts';
import type { Declared } from '../audio/report.ts';
import { type OptionValues, option, parseChoice, UsageError } from './command.ts';

/** The options that declare what is in a recording. */
export const declaredOptions = {
  channels: option('caller,recipient', 'Declare who is on channel 1 and who is on channel 2.'),
  profile: option(
    'NAME',
    'Profile of the system that recorded the call; playhead check --profiles lists them.',
  ),
  direction: option('inbound|outbound', 'Direction of the call.'),
  leg: option('caller|recipient', 'Leg that was recorded, if the profile needs it.'),
};

/** @throws UsageError that names the option */
export function readDeclared({ channels, profile, direction, leg }: OptionValues): Declared {
  if (profile !== undefined && !isProfile(profile)) {
    throw new UsageError(
      `--profile ${profile} is not a known profile: playhead check --profiles lists them.`,
    );
  }
  return {
    ...readChannels(channels),
    ...(profile !== undefined && { profile }),
    ...(direction !== undefined && { direction: parseChoice('direction', direction, 'inbound', 'outbound') }),
    ...(leg !== undefined && { leg: parseChoice('leg', leg, 'caller', 'recipient') }),
  };
}

/** @throws UsageError unless `channels` is undefined or names both roles */
export function readChannels(channels: string | undefined): Declared {
  if (channels === undefined) return {};
  const maps: Record<string, Declared> = {
    'caller,recipient': { channels: ['caller', 'recipient'] },
    'recipient,caller': { channels: ['recipient', 'caller'] },
  };
  return maps[parseChoice('channels', channels, 'caller,recipient', 'recipient,caller')]!;
}
