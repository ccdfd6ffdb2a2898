/* Patches of a picture that match those across a hole's border, and the detail that they bring.
 *
 * Every call works on buffers of its own, without the interpreter's lock, and draws no random numbers but those that the
 * place and the round give: the same input has the same result, in any thread. Time and memory are bounded by the number
 * of places.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Pixels from a patch's middle to its side, its side, and the bytes of its rows: three colours, rounded up. */
#define RADIUS 3
#define SIDE (2 * RADIUS + 1)
#define ROW_BYTES 24
/* Bytes that a row of a patch at the right border may reach beyond the picture. */
#define SLACK 8
/* The search draws matches at most so many pixels away in each direction. */
#define WINDOW 32
#define FIRST_TRIES 16
/* Root of the weight of a known pixel and of one that the fill invented. */
#define KNOWN 8
#define INVENTED 2
/* A distance at which nothing nearer is searched for: 4 levels between known pixels, in the mean. */
#define NEAR_ENOUGH (4 * 4 * KNOWN * KNOWN * SIDE * SIDE * 3)
/* Pixels from a place to the neighbours whose matches say something of it, and to those that give it detail. */
#define REACH 2
#define NEAR 1
/* No match, and no detail. */
#define NONE INT16_MIN
/* The votes' gain where they contradict each other, and where they agree, by the share of their energy in their mean. */
#define LEAST_GAIN 0.8f
#define MOST_GAIN 1.3f
#define LEAST_SHARE 0.1f
#define MOST_SHARE 0.6f
/* The energy of a vote below which no share can be told: the square of 0.7 levels in sixteenths. */
#define LEAST_ENERGY 128.0f

typedef struct {
    /* uint8 [height, width, 3], with SLACK bytes after it. */
    const uint8_t *pixels;
    const uint8_t *hole;
    /* Whether a patch around the place is known and inside the picture. */
    const uint8_t *whole;
    Py_ssize_t height, width;
    /* No match lies further away than this in either direction, in px. */
    int limit;
} Picture;

typedef struct {
    int16_t levels[SIDE * ROW_BYTES];
    int16_t weights[SIDE * ROW_BYTES];
} Patch;

static uint32_t mixed(uint32_t value)
{
    value ^= value >> 16;
    value *= 0x7feb352du;
    value ^= value >> 15;
    value *= 0x846ca68bu;
    return value ^ (value >> 16);
}

/* Marks the places whose patch is known: those whose row, and then whose column, has no hole near by. */
static void mark_whole(const uint8_t *hole, Py_ssize_t height, Py_ssize_t width, uint8_t *across, uint8_t *whole)
{
    Py_ssize_t row, column, run;
    for (row = 0; row < height; row++)
        for (column = 0, run = 0; column < width; column++) {
            run = hole[row * width + column] ? 0 : run + 1;
            across[row * width + column] = 0;
            if (column >= 2 * RADIUS)
                across[row * width + column - RADIUS] = run >= SIDE;
        }
    /* The last columns had no turn above. */
    for (row = 0; row < height; row++)
        for (column = width > RADIUS ? width - RADIUS : 0; column < width; column++)
            across[row * width + column] = 0;
    for (column = 0; column < width; column++)
        for (row = 0, run = 0; row < height; row++) {
            run = across[row * width + column] ? run + 1 : 0;
            whole[row * width + column] = 0;
            if (row >= 2 * RADIUS)
                whole[(row - RADIUS) * width + column] = run >= SIDE;
        }
    for (row = height > RADIUS ? height - RADIUS : 0; row < height; row++)
        memset(whole + row * width, 0, (size_t)width);
}

static void take_patch(const Picture *picture, Py_ssize_t row, Py_ssize_t column, Patch *patch)
{
    Py_ssize_t down, across;
    int channel;
    memset(patch, 0, sizeof *patch);
    for (down = -RADIUS; down <= RADIUS; down++) {
        Py_ssize_t y = row + down;
        if (y < 0 || y >= picture->height)
            continue;
        for (across = -RADIUS; across <= RADIUS; across++) {
            Py_ssize_t x = column + across, place = y * picture->width + x;
            Py_ssize_t at = (down + RADIUS) * ROW_BYTES + (across + RADIUS) * 3;
            if (x < 0 || x >= picture->width)
                continue;
            for (channel = 0; channel < 3; channel++) {
                patch->levels[at + channel] = picture->pixels[3 * place + channel];
                patch->weights[at + channel] = picture->hole[place] ? INVENTED : KNOWN;
            }
        }
    }
}

/* The weighted squared distance of `patch` to the known one around a place; `most` where it is no less. */
static int32_t distance(const Picture *picture, const Patch *patch, Py_ssize_t row, Py_ssize_t column, int32_t most)
{
    const uint8_t *other = picture->pixels + 3 * ((row - RADIUS) * picture->width + column - RADIUS);
    const int16_t *levels = patch->levels, *weights = patch->weights;
    int32_t total = 0;
    int down, at;
    for (down = 0; down < SIDE; down++) {
        int32_t sum = 0;
        for (at = 0; at < ROW_BYTES; at++) {
            int16_t step = (int16_t)((levels[at] - other[at]) * weights[at]);
            sum += step * step;
        }
        total += sum;
        if (total >= most)
            return most;
        levels += ROW_BYTES;
        weights += ROW_BYTES;
        other += 3 * picture->width;
    }
    return total;
}

/* Takes the match at an offset for the place, if there is one and it is nearer than `*least`. */
static void try_match(const Picture *picture, const Patch *patch, Py_ssize_t row, Py_ssize_t column, int down, int across,
                      int32_t *least, int16_t *match)
{
    Py_ssize_t y = row + down, x = column + across;
    int32_t found;
    if (abs(down) > picture->limit || abs(across) > picture->limit || y < 0 || x < 0 || y >= picture->height ||
        x >= picture->width || !picture->whole[y * picture->width + x])
        return;
    found = distance(picture, patch, y, x, *least);
    if (found < *least) {
        *least = found;
        match[0] = (int16_t)down;
        match[1] = (int16_t)across;
    }
}

static void search_place(const Picture *picture, Py_ssize_t row, Py_ssize_t column, int step, uint32_t round,
                         int32_t *least, int16_t *matches)
{
    Py_ssize_t place = row * picture->width + column;
    int16_t *match = matches + 2 * place;
    uint32_t drawn = mixed((uint32_t)place ^ mixed(round));
    int radius, tries;
    Patch patch;
    take_patch(picture, row, column, &patch);
    if (column + step >= 0 && column + step < picture->width && match[2 * step] != NONE)
        try_match(picture, &patch, row, column, match[2 * step], match[2 * step + 1], least + place, match);
    if (row + step >= 0 && row + step < picture->height && match[2 * step * picture->width] != NONE)
        try_match(picture, &patch, row, column, match[2 * step * picture->width],
                  match[2 * step * picture->width + 1], least + place, match);
    for (tries = 0; tries < FIRST_TRIES && match[0] == NONE; tries++) {
        drawn = mixed(drawn + 1);
        try_match(picture, &patch, row, column, (int)(drawn % (2 * WINDOW + 1)) - WINDOW,
                  (int)((drawn >> 16) % (2 * WINDOW + 1)) - WINDOW, least + place, match);
    }
    if (match[0] == NONE || least[place] <= NEAR_ENOUGH)
        return;
    for (radius = WINDOW; radius >= 1; radius /= 2) {
        drawn = mixed(drawn + 1);
        try_match(picture, &patch, row, column, match[0] + (int)(drawn % (uint32_t)(2 * radius + 1)) - radius,
                  match[1] + (int)((drawn >> 16) % (uint32_t)(2 * radius + 1)) - radius, least + place, match);
    }
}

/* PatchMatch (Barnes et al. 2009) at the places that are `wanted`, from the top left and from the bottom right in turns.
 * It begins with `seeds`, where there are some and as far as they are matches. */
static void search(const Picture *picture, const uint8_t *wanted, const int16_t *seeds, int rounds, int32_t *least,
                   int16_t *matches)
{
    Py_ssize_t count = picture->height * picture->width, turn, place;
    Patch patch;
    int round;
    for (place = 0; place < count; place++) {
        least[place] = INT32_MAX;
        matches[2 * place] = matches[2 * place + 1] = NONE;
        if (seeds == NULL || !wanted[place] || seeds[2 * place] == NONE)
            continue;
        take_patch(picture, place / picture->width, place % picture->width, &patch);
        try_match(picture, &patch, place / picture->width, place % picture->width, seeds[2 * place],
                  seeds[2 * place + 1], least + place, matches + 2 * place);
    }
    for (round = 0; round < rounds; round++)
        for (turn = 0; turn < count; turn++) {
            place = round % 2 == 0 ? turn : count - 1 - turn;
            if (wanted[place])
                search_place(picture, place / picture->width, place % picture->width, round % 2 == 0 ? -1 : 1,
                             (uint32_t)round, least, matches);
        }
}

/* The detail at a place by the matches of its neighbours; NONE in the first channel where no near one has a match. */
static void vote(const int16_t *detail, const int16_t *matches, Py_ssize_t height, Py_ssize_t width, Py_ssize_t row,
                 Py_ssize_t column, int16_t *voted)
{
    int32_t near[3] = {0, 0, 0}, all[3] = {0, 0, 0}, near_count = 0, all_count = 0;
    float energy = 0, common = 0, share, gain;
    Py_ssize_t down, across;
    int channel;
    for (down = -REACH; down <= REACH; down++)
        for (across = -REACH; across <= REACH; across++) {
            Py_ssize_t y = row + down, x = column + across;
            const int16_t *match, *other;
            int is_near = labs((long)down) <= NEAR && labs((long)across) <= NEAR;
            if (y < 0 || x < 0 || y >= height || x >= width)
                continue;
            match = matches + 2 * (y * width + x);
            if (match[0] == NONE)
                continue;
            /* Inside the patch that was matched, and so inside the picture. */
            other = detail + 3 * ((row + match[0]) * width + column + match[1]);
            for (channel = 0; channel < 3; channel++) {
                all[channel] += other[channel];
                near[channel] += is_near ? other[channel] : 0;
                energy += (float)other[channel] * (float)other[channel];
            }
            all_count++;
            near_count += is_near;
        }
    if (near_count == 0) {
        voted[0] = voted[1] = voted[2] = NONE;
        return;
    }
    for (channel = 0; channel < 3; channel++)
        common += (float)all[channel] * (float)all[channel];
    common /= (float)all_count * (float)all_count;
    energy /= (float)all_count;
    share = (common / (energy > LEAST_ENERGY ? energy : LEAST_ENERGY) - LEAST_SHARE) / (MOST_SHARE - LEAST_SHARE);
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    gain = (LEAST_GAIN + (MOST_GAIN - LEAST_GAIN) * share) / (float)near_count;
    for (channel = 0; channel < 3; channel++) {
        float value = (float)near[channel] * gain;
        voted[channel] = (int16_t)(value < -INT16_MAX ? -INT16_MAX : value > INT16_MAX ? INT16_MAX : value);
    }
}

static int fits(const Py_buffer *buffer, Py_ssize_t height, Py_ssize_t width, Py_ssize_t bytes)
{
    if (buffer->len == height * width * bytes)
        return 1;
    PyErr_SetString(PyExc_ValueError, "the arrays differ in size");
    return 0;
}

static int has_size(Py_ssize_t height, Py_ssize_t width)
{
    if (height > 0 && width > 0 && height <= INT16_MAX && width <= INT16_MAX)
        return 1;
    PyErr_SetString(PyExc_ValueError, "a side has 1 to 32767 pixels");
    return 0;
}

static PyObject *texture_matches(PyObject *self, PyObject *args)
{
    Py_buffer pixels, hole, wanted, seeds;
    Py_ssize_t height, width;
    int limit, rounds;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*y*z*iinn", &pixels, &hole, &wanted, &seeds, &limit, &rounds, &height, &width))
        return NULL;
    if (has_size(height, width) && fits(&pixels, height, width, 3) && fits(&hole, height, width, 1) &&
        fits(&wanted, height, width, 1) &&
        (seeds.buf == NULL || fits(&seeds, height, width, 2 * sizeof(int16_t)))) {
        size_t count = (size_t)(height * width);
        uint8_t *copy = malloc(3 * count + SLACK), *across = malloc(count), *whole = malloc(count);
        int32_t *least = malloc(count * sizeof *least);
        result = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)(2 * count * sizeof(int16_t)));
        if (copy == NULL || across == NULL || whole == NULL || least == NULL) {
            Py_CLEAR(result);
            PyErr_NoMemory();
        } else if (result != NULL) {
            int16_t *matches = (int16_t *)PyByteArray_AsString(result);
            Picture picture = {copy, hole.buf, whole, height, width, limit};
            Py_BEGIN_ALLOW_THREADS
            memcpy(copy, pixels.buf, 3 * count);
            memset(copy + 3 * count, 0, SLACK);
            mark_whole(hole.buf, height, width, across, whole);
            search(&picture, wanted.buf, seeds.buf, rounds, least, matches);
            Py_END_ALLOW_THREADS
        }
        free(copy);
        free(across);
        free(whole);
        free(least);
    }
    PyBuffer_Release(&pixels);
    PyBuffer_Release(&hole);
    PyBuffer_Release(&wanted);
    PyBuffer_Release(&seeds);
    return result;
}

/* Whether every match lies so that the places of a patch around it are inside the picture. */
static int inside(const int16_t *matches, Py_ssize_t height, Py_ssize_t width)
{
    Py_ssize_t place;
    for (place = 0; place < height * width; place++) {
        Py_ssize_t row = place / width + matches[2 * place], column = place % width + matches[2 * place + 1];
        if (matches[2 * place] != NONE && (row < REACH || column < REACH || row >= height - REACH ||
                                           column >= width - REACH)) {
            PyErr_SetString(PyExc_ValueError, "a match lies outside");
            return 0;
        }
    }
    return 1;
}

static PyObject *texture_votes(PyObject *self, PyObject *args)
{
    Py_buffer detail, matches, wanted;
    Py_ssize_t height, width, place;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*y*nn", &detail, &matches, &wanted, &height, &width))
        return NULL;
    if (has_size(height, width) && fits(&detail, height, width, 3 * sizeof(int16_t)) &&
        fits(&matches, height, width, 2 * sizeof(int16_t)) && fits(&wanted, height, width, 1) &&
        inside(matches.buf, height, width)) {
        result = PyByteArray_FromStringAndSize(NULL, height * width * 3 * (Py_ssize_t)sizeof(int16_t));
        if (result != NULL) {
            int16_t *voted = (int16_t *)PyByteArray_AsString(result);
            const uint8_t *flags = wanted.buf;
            Py_BEGIN_ALLOW_THREADS
            for (place = 0; place < height * width; place++)
                if (flags[place])
                    vote(detail.buf, matches.buf, height, width, place / width, place % width, voted + 3 * place);
                else
                    voted[3 * place] = voted[3 * place + 1] = voted[3 * place + 2] = NONE;
            Py_END_ALLOW_THREADS
        }
    }
    PyBuffer_Release(&detail);
    PyBuffer_Release(&matches);
    PyBuffer_Release(&wanted);
    return result;
}

static PyMethodDef methods[] = {
    {"matches", texture_matches, METH_VARARGS, "For each wanted place the offset of the known patch that is most like its own."},
    {"votes", texture_votes, METH_VARARGS, "For each wanted place the detail by its neighbours' matches."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_texture",
    .m_doc = "Patches of a picture that match those across a hole's border, and the detail that they bring.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__texture(void)
{
    return PyModule_Create(&module);
}
