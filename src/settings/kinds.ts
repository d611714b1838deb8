import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** A kind of setting: turns its text into its value. */
export interface Kind<T> {
  /** Printed in docs/configuration.md. */
  name: string;
  /** @throws Error whose message completes the sentence "PLAYHEAD_X …" */
  parse(text: string): T;
}

export const text: Kind<string> = { name: 'text', parse: (value) => value };

/** Text that must not be empty. An empty host would mean every address, and an empty folder the working folder. */
export const nonEmpty: Kind<string> = {
  name: 'text',
  parse(value) {
    if (value === '') throw new Error('must not be empty');
    return value;
  },
};

export const list: Kind<string[]> = {
  name: 'comma list',
  parse: (value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
};

/** API keys. A key that can be guessed opens every recording. */
export const apiKeys: Kind<string[]> = {
  name: 'comma list of keys of at least 128 bits',
  parse(value) {
    const keys = list.parse(value);
    // The value is not repeated: it may be most of a key that is in use.
    if (keys.some((key) => !isStrong(key))) {
      throw new Error('has a key that can be guessed; make one with `openssl rand -hex 32`');
    }
    return keys;
  },
};

/** Whether a random key of this length, from the alphabets that it uses, has 128 bits. */
function isStrong(key: string): boolean {
  const alphabets = [/[0-9]/, /[a-f]/, /[g-z]/, /[A-F]/, /[G-Z]/, /[^0-9A-Za-z]/];
  const sizes = [10, 6, 20, 6, 20, 2];
  const alphabetSize = sizes.reduce((sum, size, index) => sum + (alphabets[index]!.test(key) ? size : 0), 0);
  // Of ten million random keys, less than one has fewer than eight different characters.
  return key.length * Math.log2(alphabetSize) >= 128 && new Set(key).size >= 8;
}

export const flag: Kind<boolean> = {
  name: 'true or false',
  parse: (value) => oneOf('true', 'false').parse(value) === 'true',
};

export function oneOf<const T extends string>(...words: T[]): Kind<T> {
  return {
    name: words.map((word) => `\`${word}\``).join(' or '),
    parse(value) {
      const word = words.find((candidate) => candidate === value);
      if (word === undefined) throw new Error(`must be ${words.join(' or ')}, not "${value}"`);
      return word;
    },
  };
}

export function someOf<const T extends string>(...words: T[]): Kind<T[]> {
  return {
    name: `comma list of ${words.map((word) => `\`${word}\``).join(', ')}`,
    parse: (value) => {
      const chosen = list.parse(value).map((item) => oneOf(...words).parse(item));
      if (chosen.length === 0) throw new Error(`must name at least one of ${words.join(', ')}`);
      return chosen;
    },
  };
}

export function integer(min: number, max: number): Kind<number> {
  return {
    name: `number from ${min} to ${max}`,
    parse(value) {
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
      if (!(number >= min && number <= max)) {
        throw new Error(`must be a whole number from ${min} to ${max}, not "${value}"`);
      }
      return number;
    },
  };
}

export const workers: Kind<number> = {
  name: 'number, or `auto`',
  parse: (value) => (value === 'auto' ? availableParallelism() : integer(1, 256).parse(value)),
};

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Node's timers overflow above 2^31−1 ms (24.8 days) and then fire at once. */
export const longestTimer = '24d';

/** @returns milliseconds */
export function duration(min: string, max: string): Kind<number> {
  return {
    name: 'duration such as `90s`, `15m`, `8h`',
    parse(value) {
      const ms = milliseconds(value);
      if (Number.isNaN(ms)) throw new Error(`must be a duration such as 90s, 15m or 8h, not "${value}"`);
      if (ms < milliseconds(min) || ms > milliseconds(max))
        throw new Error(`must be from ${min} to ${max}, not "${value}"`);
      return ms;
    },
  };
}

/** How long something is kept, in ms; 0 is for ever. Not less than a day, because `12m` is not twelve months. */
export const retention: Kind<number> = {
  name: 'duration of at least `1d`, such as `90d`; `0` is for ever',
  parse(value) {
    if (value === '' || value === '0') return 0;
    const ms = milliseconds(value);
    if (!(ms >= units.d && ms <= 36_500 * units.d)) {
      throw new Error(`must be 0, for ever, or a duration from 1d to 36500d, not "${value}"`);
    }
    return ms;
  },
};

/** The text that `retention` reads. */
export function retentionText(ms: number): string {
  if (ms === 0) return '0';
  const unit = (['d', 'h', 'm', 's', 'ms'] as const).find((each) => ms % units[each] === 0)!;
  return `${ms / units[unit]}${unit}`;
}

/** NaN if `text` is not a duration. */
function milliseconds(text: string): number {
  const [, count, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return Number(count) * units[unit as keyof typeof units];
}

/** A number of bytes. */
export const size: Kind<number> = {
  name: 'size such as `64MB`, `2GB`, `0`',
  parse(value) {
    const match = /^(\d{1,9})\s*(KB|MB|GB|TB)?$/i.exec(value);
    if (!match) throw new Error(`must be a size such as 64MB or 2GB, not "${value}"`);
    const power = ['KB', 'MB', 'GB', 'TB'].indexOf((match[2] ?? '').toUpperCase()) + 1;
    return Number(match[1]) * 1024 ** power;
  },
};

/** A base URL without a slash at its end, or empty. */
export const baseUrl: Kind<string> = {
  name: 'http or https URL',
  parse(value) {
    if (value === '') return value;
    const url = URL.parse(value);
    if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username) {
      // The value is not repeated: it may contain a password.
      throw new Error('must be an http:// or https:// URL without query or credentials');
    }
    return url.href.replace(/\/+$/, '');
  },
};

export const databaseUrl: Kind<string> = {
  name: '`postgres://…` or `sqlite:/file`',
  parse(value) {
    if (value !== '' && !/^(postgres(ql)?:\/\/|sqlite:.)/.test(value)) {
      throw new Error('must start with postgres:// or sqlite:');
    }
    return value;
  },
};

export const storeUrl: Kind<string> = {
  name: '`file:/folder` or `s3://bucket/prefix`',
  parse(value) {
    if (value !== '' && !/^s3:\/\/[^/]+/.test(value) && !isFolderUrl(value)) {
      throw new Error('must be file:/folder or s3://bucket/prefix');
    }
    return value;
  },
};

/** Allows only an absolute path. A URL resolves a relative path from the root, and ends the path at `#` or `?`. */
function isFolderUrl(value: string): boolean {
  try {
    return /^file:\/[^#?]+$/.test(value) && fileURLToPath(value) !== '/';
  } catch {
    return false; // another host, or an incomplete escape
  }
}

export const redisUrl: Kind<string> = {
  name: '`redis://…` or `rediss://…`',
  parse(value) {
    if (value !== '' && !/^rediss?:\/\/./.test(value))
      throw new Error('must start with redis:// or rediss://');
    return value;
  },
};

export const networks: Kind<string[]> = {
  name: 'comma list of addresses and networks such as `10.0.0.0/8`',
  parse(value) {
    const entries = list.parse(value);
    const wrong = entries.find((entry) => !isNetwork(entry));
    if (wrong !== undefined)
      throw new Error(`must list addresses or networks such as 10.0.0.0/8, not "${wrong}"`);
    return entries;
  },
};

/** `10.0.0.1`, `10.0.0.0/8`, `fd00::/8` */
function isNetwork(entry: string): boolean {
  const [address = '', prefix, ...rest] = entry.split('/');
  const ipVersion = isIP(address); // 4, 6, or 0 if it is no address
  if (ipVersion === 0 || rest.length > 0) return false;
  const maxPrefix = ipVersion === 4 ? 32 : 128;
  return prefix === undefined || (/^\d+$/.test(prefix) && Number(prefix) <= maxPrefix);
}
