import type { Role } from '../unions.ts';

/** What the tags of a file say of its channels, and which tag said so. */
export interface Tags {
  channelMap?: [Role, Role];
  from?: string;
}

const pair = /^\s*(caller|recipient)\s*[,;/|]\s*(caller|recipient)\s*$/i;

/**
 * Finds the channel map in `name=value` tags: `CHANNEL_MAP=caller,recipient` as a tag or inside a comment, or
 * both channels by their names. Two tags that disagree say nothing.
 */
export function readChannelMap(tags: string[]): Tags {
  const maps = [...tags.flatMap(readMap), ...readNames(tags)];
  const [first] = maps;
  return first && maps.every(({ channelMap }) => channelMap[0] === first.channelMap[0]) ? first : {};
}

function readMap(tag: string): { channelMap: [Role, Role]; from: string }[] {
  const match = /(?:^|[^\w])CHANNEL_MAP\s*=\s*(\w+\s*[,;/|]\s*\w+)/i.exec(tag);
  const channelMap = match && readPair(match[1]!);
  return channelMap ? [{ channelMap, from: tag.split('=', 1)[0]! }] : [];
}

function readNames(tags: string[]): { channelMap: [Role, Role]; from: string }[] {
  const nameOf = (channel: number) => tags.find((tag) => tag.startsWith(`channel ${channel}=`))?.slice(10);
  const channelMap = readPair(`${nameOf(1)},${nameOf(2)}`);
  return channelMap ? [{ channelMap, from: 'track names' }] : [];
}

function readPair(text: string): [Role, Role] | undefined {
  const match = pair.exec(text);
  const [first, second] = [match?.[1]?.toLowerCase(), match?.[2]?.toLowerCase()];
  return first && second && first !== second ? [first as Role, second as Role] : undefined;
}
