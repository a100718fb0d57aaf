/** A value that a function cannot use; who calls the function knows the place. */
export class ValueError extends Error {
  readonly remedy: string | undefined;

  constructor(message: string, remedy?: string) {
    super(message);
    this.remedy = remedy;
  }
}
