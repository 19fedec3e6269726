/* One LSTM layer in C, forward and backward, as a program that the suite can ask. Gates in the order i, f, g, o.

     a = W_ih x + b_ih + W_hh h + b_hh   (1)       i, f, o = sigmoid(a_i, a_f, a_o);  g = tanh(a_g)   (2)
     c' = f c + i g                      (3)       h' = o tanh(c')                                    (4)

     cc -O2 -std=c11 -o lstm_c lstm.c -lm          lstm verify --pipe ./lstm_c

   x, y [T][B][.]; h0, c0 [1][B][H]; W_ih [4H][I]; W_hh [4H][H]. float32 is widened when read, rounded when written. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL = 1 << 22, MOST = 24 };
static struct { char name[32]; long shape[3]; double *data; } in[MOST + 1]; /* what is asked */
static struct { long size; const double *data; } out[MOST];                 /* what is answered */
static double pool[POOL], *top;                                             /* all numbers of one question, 32 MB */
static char line[1 << 16], op[16], dtype[8];
static int n_in, n_out, narrow; /* narrow: float32 */

static const char ENTRY[] = "{\"name\": \"%31[^\"]\", \"dtype\": \"%7[^\"]\", \"shape\": [%ld, %ld, %ld";
static const char CAPABILITIES[] =
    "{\"capabilities\": {\"operations\": [\"forward\", \"backward\"], \"dtypes\": [\"float64\", \"float32\"]}}";
static void die(const char *why) { fprintf(stderr, "lstm_c: %s\n", why), exit(1); }
static double *zeros(long n) {
    return n > pool + POOL - top ? die("the question is too large"), NULL : memset((top += n) - n, 0, n * sizeof *top);
}
static int find(const char *name) {
    for (int n = 0; n < n_in; n++) if (!strcmp(in[n].name, name)) return n;
    return die("an array is missing"), 0;
}
static double take(void) {
    float f = 0; double d = 0;
    return fread(narrow ? (void *)&f : &d, narrow ? 4 : 8, 1, stdin) == 1 ? narrow ? f : d : (die("cut short"), 0);
}
static void put(double d) { float f = d; fwrite(narrow ? (void *)&f : &d, narrow ? 4 : 8, 1, stdout); }
static double dot(const double *a, const double *b, long n) { double s = 0; while (n--) s += *a++ * *b++; return s; }
static void add(double *to, double factor, const double *a, long n) { while (n--) *to++ += factor * *a++; }
static void answer(const char *name, const double *data, long s0, long s1, long s2) { /* main writes its numbers */
    printf("%s{\"name\": \"%s\", \"dtype\": \"%s\", \"shape\": [%ld", n_out ? ", " : "", name, dtype, s0);
    printf(s1 ? s2 ? ", %ld, %ld]}" : ", %ld]}" : "]}", s1, s2);
    out[n_out].data = data, out[n_out++].size = s0 * (s1 ? s1 : 1) * (s2 ? s2 : 1);
}

static void lstm(int backward) {
    const long *s = in[find("x")].shape, T = s[0], B = s[1], I = s[2], H = in[find("h0")].shape[2];
    const double *x = in[find("x")].data, *b_ih = in[find("bias_ih_l0")].data, *b_hh = in[find("bias_hh_l0")].data;
    const double *W_ih = in[find("weight_ih_l0")].data, *W_hh = in[find("weight_hh_l0")].data;
    double *h = zeros((T + 1) * B * H), *c = zeros((T + 1) * B * H), *gates = zeros(T * B * 4 * H);
    memcpy(h, in[find("h0")].data, B * H * sizeof *h); /* h[t], c[t] come before step t */
    memcpy(c, in[find("c0")].data, B * H * sizeof *c);
    for (long r = 0; r < T * B; r++) { /* r = t B + b: row b at step t; r + B is one step later */
        double *i = gates + r * 4 * H, *f = i + H, *g = f + H, *o = g + H, *c_next = c + (r + B) * H;
        for (long k = 0; k < 4 * H; k++) {
            double a = dot(W_ih + k * I, x + r * I, I) + b_ih[k] + dot(W_hh + k * H, h + r * H, H) + b_hh[k]; /* (1) */
            i[k] = k / H == 2 ? tanh(a) : 1 / (1 + exp(-a));                                                  /* (2) */
        }
        for (long j = 0; j < H; j++) c_next[j] = f[j] * c[r * H + j] + i[j] * g[j]; /* (3) */
        for (long j = 0; j < H; j++) h[(r + B) * H + j] = o[j] * tanh(c_next[j]);   /* (4) */
    }
    if (!backward) answer("y", h + B * H, T, B, H), answer("h_n", h + T * B * H, 1, B, H);
    if (!backward) { answer("c_n", c + T * B * H, 1, B, H); return; }
    double *dy = in[find("dy")].data, *dh = in[find("dh_n")].data, *dc = in[find("dc_n")].data; /* at last dh0, dc0 */
    double *dx = zeros(T * B * I), *dW_ih = zeros(4 * H * I), *dW_hh = zeros(4 * H * H), *db = zeros(4 * H);
    for (long r = T * B - 1; r >= 0; r--) { /* (4) to (1), the last step first; da takes the place of the gates */
        double *i = gates + r * 4 * H, *f = i + H, *g = f + H, *o = g + H;
        for (long j = 0, b = r % B * H; j < H; j++) {
            double t = tanh(c[(r + B) * H + j]), dh_j = dh[b + j] + dy[r * H + j], i_j = i[j];
            double dc_j = dc[b + j] + dh_j * o[j] * (1 - t * t);                                  /* (4) */
            dc[b + j] = dc_j * f[j], dh[b + j] = 0;                                               /* (3) */
            i[j] = dc_j * g[j] * i_j * (1 - i_j), f[j] = dc_j * c[r * H + j] * f[j] * (1 - f[j]); /* (3), (2) */
            g[j] = dc_j * i_j * (1 - g[j] * g[j]), o[j] = dh_j * t * o[j] * (1 - o[j]);           /* (3), (4), (2) */
        }
        for (long k = 0; k < 4 * H; db[k] += i[k], k++) { /* (1): da is i[k] */
            add(dW_ih + k * I, i[k], x + r * I, I), add(dx + r * I, i[k], W_ih + k * I, I);
            add(dW_hh + k * H, i[k], h + r * H, H), add(dh + r % B * H, i[k], W_hh + k * H, H);
        }
    }
    answer("dx", dx, T, B, I), answer("dh0", dh, 1, B, H), answer("dc0", dc, 1, B, H);
    answer("dweight_ih_l0", dW_ih, 4 * H, I, 0), answer("dweight_hh_l0", dW_hh, 4 * H, H, 0);
    answer("dbias_ih_l0", db, 4 * H, 0, 0), answer("dbias_hh_l0", db, 4 * H, 0, 0); /* the biases have one gradient */
}

int main(void) {
    for (; fgets(line, sizeof line, stdin); fflush(stdout)) { /* one question: a line of JSON, then the numbers */
        top = pool, n_in = n_out = *op = 0, sscanf(line, "{\"op\": \"%15[^\"]", op);
        for (char *p = line; (p = strstr(p, "{\"name\": ")); p++, n_in++) {
            long *s = in[n_in].shape, n = *s = s[1] = s[2] = 1;
            if (sscanf(p, ENTRY, in[n_in].name, dtype, s, s + 1, s + 2) < 3 || n_in == MOST) die("not such arrays");
            narrow = !strcmp(dtype, "float32");
            in[n_in].data = zeros(n = *s * s[1] * s[2]);
            for (long k = 0; k < n; k++) in[n_in].data[k] = take();
        }
        if (!strcmp(op, "forward") || !strcmp(op, "backward")) {
            printf("{\"arrays\": ["), lstm(*op == 'b'), puts("]}");
            for (int k = 0; k < n_out; k++) for (long n = 0; n < out[k].size; n++) put(out[k].data[n]);
        } else puts(strcmp(op, "capabilities") ? "{\"error\": \"forward and backward only\"}" : CAPABILITIES);
    }
}
