import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { isProblem, Problem } from '../errors.ts';
import { readRecordingInput } from '../ingest/input.ts';
import { schemeOf } from '../ingest/sources.ts';
import {
  type Command,
  declaredOptions,
  exit,
  flag,
  need,
  print,
  readDeclared,
  text,
  UsageError,
  withParts,
} from './command.ts';

export const ingest: Command = {
  words: 1,
  options: {
    account: text('ID', 'Your id of the HubSpot account.'),
    id: text('EXTERNAL_ID', 'Your id of the call.'),
    ...declaredOptions,
    replace: flag('Puts it in the place of other audio under the same id.'),
  },

  async run({ words: [file], options, config }) {
    if (file === undefined) throw new UsageError('Exactly one FILE or URL is needed.');
    const { source, ...offer } = readRecordingInput({
      accountId: need(options, 'account'),
      externalId: need(options, 'id'),
      direction: need(options, 'direction'),
      ...readDeclared(options),
      ...(options.replace && { replace: true }),
      ...(schemeOf(file) && { source: file }),
    });
    if (!source && !(await stat(file).catch(() => undefined))?.isFile()) {
      throw new Error(`${file} is not a file that can be read.`);
    }
    const signal = new AbortController().signal;
    return withParts(config, async ({ ingest, sources }) => {
      const audio = source ? await sources.open(source, signal) : bytesOf(file);
      const named = { fileName: basename(file), ...offer };
      const { outcome, recording } = await ingest.accept(named, audio, signal).catch((error) => {
        if (!isProblem(error, 'conflict')) throw error;
        throw new Problem('conflict', 'This recording exists with other audio: --replace takes its place.');
      });
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
