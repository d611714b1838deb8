import type { StoredApiKey } from '../access/api-key-store.ts';
import { apiRoles } from '../unions.ts';
import {
  type Command,
  exitCode,
  flag,
  option,
  parseChoice,
  print,
  requireOption,
  UsageError,
  withParts,
} from './command.ts';

const maxNameCharacters = 100;

export const apiKeys: Command = {
  maxArgs: 2,
  options: {
    name: option('NAME', 'For create: a name for lists and logs.'),
    role: option(apiRoles.join('|'), 'For create: what the key is for. admin may do everything.'),
    accounts: option('ID,ID', 'For create: the accounts that the key is for. Default: every account.'),
    json: flag('Print JSON.'),
  },

  run: ({ args: [action = 'list', name], options, config }) =>
    withParts(config, async ({ apiKeys }) => {
      if (action === 'create' && name === undefined) {
        const scope = scopeOf(options);
        const key = await apiKeys.create(scope);
        print(options.json ? JSON.stringify({ ...scope, key }) : key);
        process.stderr.write('Keep the key: it is not shown again.\n');
      } else if (action === 'list' && name === undefined) {
        const keys = await apiKeys.list();
        print(options.json ? JSON.stringify(keys, null, 2) : table(keys));
      } else if (action === 'revoke' && name !== undefined) {
        await apiKeys.revoke(name);
        print('Revoked. Every gateway on this database denies the key within 5 seconds.');
      } else {
        throw new UsageError(
          'Use api-keys create --name NAME --role ROLE, api-keys list or api-keys revoke NAME.',
        );
      }
      return exitCode.done;
    }),
};

function scopeOf(
  options: Record<string, string | undefined>,
): Pick<StoredApiKey, 'name' | 'role' | 'accountIds'> {
  const name = requireOption(options, 'name');
  if (name.length > maxNameCharacters || /\p{Cc}/u.test(name))
    throw new UsageError(
      `--name must have at most ${maxNameCharacters} characters, and no control characters.`,
    );
  const accountIds = options.accounts?.split(',').map((id) => id.trim());
  if (accountIds?.includes('')) throw new UsageError('--accounts must be ids with commas between them.');
  return { name, role: parseChoice('role', requireOption(options, 'role'), ...apiRoles), accountIds };
}

function table(keys: StoredApiKey[]): string {
  if (keys.length === 0)
    return 'There are no API keys in the database: the keys of PLAYHEAD_API_KEYS are not listed.';
  const text = (date: Date | null, otherwise: string) => date?.toISOString() ?? otherwise;
  const rows = keys.map(({ name, role, accountIds, createdAt, lastUsedAt, revokedAt }) =>
    [
      name,
      role,
      accountIds?.join(',') ?? 'every account',
      `created ${createdAt.toISOString()}`,
      `last used ${text(lastUsedAt, 'never')}`,
      ...(revokedAt ? [`revoked ${revokedAt.toISOString()}`] : []),
    ].join('  '),
  );
  return rows.join('\n');
}
