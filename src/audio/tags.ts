import type { Role } from '../unions.ts';

/** The channel map in the tags of a file, and the tag that has it. */
export interface Tags {
  channelMap?: [Role, Role];
  from?: string;
}

const pair = /^\s*(caller|recipient)\s*[,;/|]\s*(caller|recipient)\s*$/i;

/**
 * Finds the channel map in `name=value` tags: `CHANNEL_MAP=caller,recipient` as a tag or inside a comment, or a name
 * for each channel. If tags disagree, none counts.
 */
export function readChannelMap(tags: string[]): Tags {
  const maps = [...tags.flatMap(readMap), ...readNames(tags)];
  const [first] = maps;
  return first && maps.every(({ channelMap }) => channelMap[0] === first.channelMap[0]) ? first : {};
}

function readMap(tag: string): Required<Tags>[] {
  const match = /(?:^|[^\w])CHANNEL_MAP\s*=\s*(\w+\s*[,;/|]\s*\w+)/i.exec(tag);
  const channelMap = match && readPair(match[1]!);
  return channelMap ? [{ channelMap, from: tag.split('=', 1)[0]! }] : [];
}

function readNames(tags: string[]): Required<Tags>[] {
  const nameOf = (channel: number) => tags.find((tag) => tag.startsWith(`channel ${channel}=`))?.slice(10);
  const channelMap = readPair(`${nameOf(1)},${nameOf(2)}`);
  return channelMap ? [{ channelMap, from: 'track names' }] : [];
}

function readPair(text: string): [Role, Role] | undefined {
  const match = pair.exec(text);
  const [first, second] = [match?.[1]?.toLowerCase(), match?.[2]?.toLowerCase()];
  return first && second && first !== second ? [first as Role, second as Role] : undefined;
}
