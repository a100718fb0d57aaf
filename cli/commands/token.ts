import { z } from 'zod';
import { mintToken } from '../../service/index.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import type { CommandHost } from '../context.ts';
import { readJwtSecret } from '../jwt-secret.ts';

const claim = z.string().min(1, 'is empty').max(200, 'is longer than 200 characters');
const seconds = z.coerce.number().int().min(1).max(31_536_000);
const optionsSchema = z.object({
  sub: claim,
  org: claim,
  role: claim,
  ttl: z.string().refine((text) => seconds.safeParse(text).success, {
    error: ({ input }) => `${JSON.stringify(input)} is not a whole number of seconds from 1 to 31,536,000`,
  }),
});

export function registerToken({ program, action }: CommandHost): void {
  program
    .command('token')
    .summary('make a development token for the service')
    .description(
      'Prints a bearer token (JWT, HS256) for one user of one org, signed with SLUICE_JWT_SECRET or the development secret in .sluice/jwt-secret.',
    )
    .requiredOption('--sub <id>', "the user's id")
    .requiredOption('--org <id>', "the org's id")
    .option('--role <role>', 'viewer, analyst or admin', 'viewer')
    .option('--ttl <seconds>', 'how long it is valid', '3600')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice token --sub 1 --org 1\n  $ curl -H "Authorization: Bearer $(sluice token --sub 1 --org 1)" http://127.0.0.1:8787/api/analytics/datasets',
    )
    .action(
      action(async ({ config, output }, options) => {
        const parsed = optionsSchema.safeParse(options);
        if (!parsed.success) {
          const issue = parsed.error.issues[0];
          throw new SluiceError('USAGE', `token: --${String(issue?.path[0])} ${issue?.message ?? 'is wrong'}.`, {
            remedy: 'Try: sluice token --sub 1 --org 1 --ttl 3600',
          });
        }
        const { sub, org, role } = parsed.data;
        const ttl = Number(parsed.data.ttl);
        const token = await mintToken({ secret: await readJwtSecret(config), sub, orgId: org, role, ttlSeconds: ttl });
        output.line(token);
        output.result({ token, sub, org_id: org, role, expires_in: ttl });
        return undefined;
      }),
    );
}
