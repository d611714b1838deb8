import t from 'tap';
import { Ingest } from '../../src/ingest/ingest.ts';

t.test('what a cache holds of erased audio is dropped once nothing can bring it back', async (t) => {
  const audio = new Set(['key']);
  const cached = new Set(['key']);
  const recording = { origin: 'store', key: 'key', originEtag: '"x"', size: 1 };
  const parts = {
    catalog: { read: async () => recording, remove: async () => recording, endUpload: async () => {} },
    tokens: { revoke: async () => {} },
    store: {
      async remove(key: string) {
        for (const one of audio) cached.add(one); // a read under way at this moment
        audio.delete(key);
      },
    },
    forget: async (_origin: string, key: string) => void cached.delete(key),
  };
  const ingest = new Ingest(parts as unknown as ConstructorParameters<typeof Ingest>[0]);
  t.equal(await ingest.erase('account', 'id'), true);
  t.same([...audio, ...cached], []);
});
