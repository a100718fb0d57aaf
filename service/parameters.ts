import { SluiceError } from '../warehouse/core/errors.ts';
import { HttpProblem } from './problem.ts';

/** The query parameters of a URL in their order, repeats included. Throws BAD_REQUEST where the encoding is broken: nothing is guessed. */
export function parametersOfUrl(url: string): readonly (readonly [name: string, value: string])[] {
  const start = url.indexOf('?');
  if (start < 0) return [];
  const end = url.indexOf('#', start);
  return url
    .slice(start + 1, end < 0 ? undefined : end)
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const equals = part.indexOf('=');
      const name = equals < 0 ? part : part.slice(0, equals);
      return [decode(name), equals < 0 ? '' : decode(part.slice(equals + 1))] as const;
    });
}

/** For routes that take none. Throws QUERY_INVALID. */
export function assertNoParameters(url: string): void {
  const [first] = parametersOfUrl(url);
  if (first === undefined) return;
  throw new SluiceError('QUERY_INVALID', `${first[0].slice(0, 60)} is not a parameter of this path: it takes none`, {
    remedy: 'Leave the query out.',
  });
}

/** Values of a comma-separated header with quality 0 left out, best first, e.g. of Accept. */
export function acceptedTypes(accept: string | undefined): readonly string[] {
  if (accept === undefined || accept.trim() === '') return ['*/*'];
  return accept
    .split(',')
    .slice(0, 50)
    .map((part, at) => {
      const [type = '', ...rest] = part.split(';').map((piece) => piece.trim().toLowerCase());
      const quality = rest.find((piece) => piece.startsWith('q='))?.slice(2);
      return { type, quality: quality === undefined ? 1 : Number(quality), at };
    })
    .filter(({ type, quality }) => type !== '' && quality > 0)
    .toSorted((a, b) => b.quality - a.quality || a.at - b.at)
    .map(({ type }) => type);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new HttpProblem('BAD_REQUEST', 'The query of the URL is not valid percent-encoded UTF-8.');
  }
}
