/** A place in a template that cannot be read or evaluated. `at` is an offset into the template's text. */
export class JinjaError extends Error {
  readonly at: number;
  readonly remedy: string;

  constructor(message: string, at: number, remedy = 'Correct the template.') {
    super(message);
    this.name = 'JinjaError';
    this.at = at;
    this.remedy = remedy;
  }
}

/** What follows from a problem that was reported already: stops the evaluation and is not reported again. */
export class KnownProblem extends Error {}
