import t from 'tap';
import { Ingest, type IngestParts } from '../../src/ingest/ingest.ts';
import { StoredAudio, type StoredAudioParts } from '../../src/ingest/stored-audio.ts';

t.test('erased audio is not cached, even if a read caches it again during the removal', async (t) => {
  const audio = new Set(['key']);
  const cached = new Set(['key']);
  const recording = { origin: 'store', key: 'key', originEtag: '"x"', size: 1 };
  const storedAudio = new StoredAudio({
    storeKeys: { delete: async () => {}, replacedOf: async () => [] },
    store: {
      async remove(key: string) {
        for (const each of audio) cached.add(each); // a read at this moment
        audio.delete(key);
      },
    },
    forget: async () => void cached.delete('key'),
  } as unknown as StoredAudioParts);
  const ingest = new Ingest({
    catalog: { read: async () => recording, remove: async () => recording },
    tokens: { revoke: async () => {} },
    holds: { requireNone: async () => {} },
    storedAudio,
    db: {},
  } as unknown as IngestParts);
  t.equal(await ingest.erase('account', 'id'), true);
  t.same([...audio, ...cached], []);
});
