import type { Role } from '../unions.ts';

/** The channel map in the tags of a file, and the tag that has it. */
export interface Tags {
  channelMap?: [Role, Role];
  from?: string;
}

const pair = /^\s*(caller|recipient)\s*[,;/|]\s*(caller|recipient)\s*$/i;

/**
 * Finds the channel map in `name=value` tags. It is either `CHANNEL_MAP=caller,recipient`, as a tag or inside a
 * comment, or the pair of tags `channel 1=caller` and `channel 2=recipient`. If tags disagree, none counts.
 */
export function readChannelMap(tags: string[]): Tags {
  const maps = [...tags.flatMap(readMap), ...readChannelNames(tags)];
  const [first] = maps;
  return first && maps.every(({ channelMap }) => channelMap[0] === first.channelMap[0]) ? first : {};
}

function readMap(tag: string): Required<Tags>[] {
  const match = /(?:^|[^\w])CHANNEL_MAP\s*=\s*(\w+\s*[,;/|]\s*\w+)/i.exec(tag);
  const channelMap = match && readPair(match[1]!);
  return channelMap ? [{ channelMap, from: tag.split('=', 1)[0]! }] : [];
}

function readChannelNames(tags: string[]): Required<Tags>[] {
  const nameOf = (prefix: string) => tags.find((tag) => tag.startsWith(prefix))?.slice(prefix.length);
  const channelMap = readPair(`${nameOf('channel 1=')},${nameOf('channel 2=')}`);
  return channelMap ? [{ channelMap, from: 'track names' }] : [];
}

function readPair(text: string): [Role, Role] | undefined {
  const match = pair.exec(text);
  const [first, second] = [match?.[1]?.toLowerCase(), match?.[2]?.toLowerCase()];
  return first && second && first !== second ? [first as Role, second as Role] : undefined;
}
