import t from 'tap';
import type { Origin } from '../../src/origins/origin.ts';
import { findInFolders } from '../../src/origins/roots.ts';

const origin = {} as Origin;
const folders = new Map([['/srv/calls', origin]]);

t.test('a source is inside a folder by its path, whatever its name begins with', async (t) => {
  for (const key of ['a.wav', '..x.wav', '...', '..a/b.wav', '.hidden', 'sub/..x.wav']) {
    t.same(findInFolders(folders, `file:///srv/calls/${key}`), { origin, key });
  }
  for (const path of [
    '/srv/calls',
    '/srv/calls/',
    '/srv/calls/../secret',
    '/srv/calls-2/a.wav',
    '/srv',
    '/',
  ]) {
    t.throws(() => findInFolders(folders, `file://${path}`), { code: 'source_refused' }, path);
  }
});
