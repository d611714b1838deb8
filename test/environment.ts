import type { Test } from 'tap';

/** Sets these environment variables, or removes those that are undefined. The teardown puts back what was there. */
export function setEnvironment(
  t: Pick<Test, 'teardown'>,
  variables: Record<string, string | undefined>,
): void {
  const before = { ...process.env };
  const set = (values: NodeJS.ProcessEnv) => {
    for (const name of Object.keys(variables)) {
      if (values[name] === undefined) delete process.env[name];
      else process.env[name] = values[name];
    }
  };
  set(variables);
  t.teardown(() => set(before));
}
