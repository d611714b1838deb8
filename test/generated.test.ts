import { spawnSync } from 'node:child_process';
import t from 'tap';

t.test('the generated pages of docs/ say what src/ says', async (t) => {
  const script = new URL('../docs/generate.ts', import.meta.url).pathname;
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  t.equal(status, 0, stderr.trim() || 'every page is fresh');
});
