import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { readRecordingInput } from '../routes/recording-schema.ts';
import { type Command, exit, flag, need, only, print, readChannels, text, withParts } from './command.ts';

export const ingest: Command = {
  usage: 'ingest FILE|URL --account ID --id EXTERNAL_ID --direction inbound|outbound',
  says: 'Store one recording. Also: --channels caller,recipient, --profile NAME, --leg caller|recipient, --replace.',
  options: {
    account: text,
    id: text,
    direction: text,
    channels: text,
    profile: text,
    leg: text,
    replace: flag,
  },

  async run({ words, options, config }) {
    const file = only(words, 'FILE or URL');
    const { channels, profile, leg, replace } = options;
    const { source, ...offer } = readRecordingInput({
      accountId: need(options, 'account'),
      externalId: need(options, 'id'),
      direction: need(options, 'direction'),
      ...readChannels(channels),
      ...(profile !== undefined && { profile }),
      ...(leg !== undefined && { leg }),
      ...(replace && { replace: true }),
      ...(/^[a-z0-9]{2,}:/.test(file) && { source: file }),
    });
    const signal = new AbortController().signal;
    return withParts(config, async ({ ingest, sources }) => {
      const audio = source ? await sources.open(source, signal) : bytesOf(file);
      const { outcome, recording } = await ingest.accept(
        { fileName: basename(file), ...offer },
        audio,
        signal,
      );
      const { accountId, externalId, verdict, report } = recording;
      print(`${outcome} ${accountId}/${externalId}: ${verdict} (${report.codes.join(', ')})`);
      return exit.done;
    });
  },
};

/** Opened when the first byte is asked for: a stream that fails while nobody listens yet ends the process. */
async function* bytesOf(path: string): AsyncIterable<Uint8Array> {
  yield* createReadStream(path);
}
