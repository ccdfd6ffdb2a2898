/* A JPEG's DCT coefficients in memory, by libjpeg: read, changed block by block, written back.
 *
 * Every call works on one file of its own and holds no lock of the process: the interpreter's is released while libjpeg
 * reads, compares and writes. An error of libjpeg ends the call as ValueError, a lack of memory as MemoryError.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#define BLOCK_BYTES ((Py_ssize_t)sizeof(JBLOCK))
#define FIRST_OUTPUT_BYTES ((size_t)1 << 16)

/* libjpeg reports errors here; `back` is where the call that began the work goes on. */
struct errors {
    struct jpeg_error_mgr base;
    jmp_buf back;
    int code;
    char message[JMSG_LENGTH_MAX];
};

/* Coded bytes, grown as they come, and what writes them. */
struct output {
    struct jpeg_destination_mgr base;
    struct jpeg_compress_struct info;
    JOCTET *bytes;
    size_t size;
    size_t room;
};

typedef struct {
    PyObject_HEAD
    struct jpeg_decompress_struct info;
    struct errors errors;
    jvirt_barray_ptr *arrays;
    int created;
    /* Whether a call works on it without the interpreter's lock. */
    int busy;
} Coefficients;

static void end_with_error(j_common_ptr info)
{
    struct errors *errors = (struct errors *)info->err;
    errors->code = errors->base.msg_code;
    errors->base.format_message(info, errors->message);
    longjmp(errors->back, 1);
}

static void stay_silent(j_common_ptr info)
{
    (void)info;
}

static void set_up_errors(struct errors *errors)
{
    jpeg_std_error(&errors->base);
    errors->base.error_exit = end_with_error;
    errors->base.output_message = stay_silent;
    errors->code = 0;
    errors->message[0] = '\0';
}

static PyObject *raise_error(const struct errors *errors)
{
    if (errors->code == JERR_OUT_OF_MEMORY)
        return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError, errors->message);
    return NULL;
}

static void begin_output(j_compress_ptr info)
{
    struct output *output = (struct output *)info->dest;
    output->base.next_output_byte = output->bytes;
    output->base.free_in_buffer = output->room;
}

static boolean grow_output(j_compress_ptr info)
{
    struct output *output = (struct output *)info->dest;
    JOCTET *grown = output->room > SIZE_MAX / 2 ? NULL : realloc(output->bytes, output->room * 2);
    if (grown == NULL)
        ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
    output->bytes = grown;
    output->base.next_output_byte = grown + output->room;
    output->base.free_in_buffer = output->room;
    output->room *= 2;
    return TRUE;
}

static void end_output(j_compress_ptr info)
{
    struct output *output = (struct output *)info->dest;
    output->size = output->room - output->base.free_in_buffer;
}

/* Whether the whole file could be read; else `errors` tells why not. */
static int read_all(Coefficients *self, const unsigned char *data, size_t size)
{
    int index;
    if (setjmp(self->errors.back))
        return 0;
    jpeg_create_decompress(&self->info);
    self->created = 1;
    jpeg_mem_src(&self->info, (unsigned char *)data, (unsigned long)size);
    jpeg_read_header(&self->info, TRUE);
    if (self->info.data_precision != BITS_IN_JSAMPLE)
        ERREXIT1(&self->info, JERR_BAD_PRECISION, self->info.data_precision);
    self->arrays = jpeg_read_coefficients(&self->info);
    for (index = 0; index < self->info.num_components; index++)
        if (self->info.comp_info[index].quant_table == NULL)
            ERREXIT1(&self->info, JERR_NO_QUANT_TABLE, self->info.comp_info[index].quant_tbl_no);
    return 1;
}

static int write_all(Coefficients *self, struct output *output, struct errors *errors, int optimised)
{
    j_compress_ptr info = &output->info;
    info->err = &errors->base;
    if (setjmp(errors->back))
        return 0;
    jpeg_create_compress(info);
    output->base.init_destination = begin_output;
    output->base.empty_output_buffer = grow_output;
    output->base.term_destination = end_output;
    output->room = FIRST_OUTPUT_BYTES;
    output->bytes = malloc(output->room);
    if (output->bytes == NULL)
        ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
    info->dest = &output->base;
    jpeg_copy_critical_parameters(&self->info, info);
    info->restart_interval = self->info.restart_interval;
    info->optimize_coding = optimised ? TRUE : FALSE;
    jpeg_write_coefficients(info, self->arrays);
    jpeg_finish_compress(info);
    return 1;
}

/* A row of blocks. Errors go to those of `self`, where the caller has set a place to go on. */
static JBLOCKROW row_of(Coefficients *self, int component, JDIMENSION row, boolean writable)
{
    return self->info.mem->access_virt_barray(
        (j_common_ptr)&self->info, self->arrays[component], row, 1, writable)[0];
}

/* 1: equal but for the blocks that `left_out` names (one byte a block); 0: not; -1: an error. */
static int equal_blocks(Coefficients *self, Coefficients *other, int component, const unsigned char *left_out)
{
    jpeg_component_info *info = &self->info.comp_info[component];
    JDIMENSION row, column;
    /* An error while `other` hands out a row returns to the same place. */
    if (setjmp(self->errors.back))
        return -1;
    if (setjmp(other->errors.back)) {
        self->errors.code = other->errors.code;
        memcpy(self->errors.message, other->errors.message, sizeof(self->errors.message));
        return -1;
    }
    for (row = 0; row < info->height_in_blocks; row++) {
        const unsigned char *skipped = left_out + (size_t)row * info->width_in_blocks;
        JBLOCKROW mine = row_of(self, component, row, FALSE), others = row_of(other, component, row, FALSE);
        for (column = 0; column < info->width_in_blocks; column++)
            if (!skipped[column] && memcmp(mine[column], others[column], sizeof(JBLOCK)) != 0)
                return 0;
    }
    return 1;
}

/* Copies `count` blocks out of (`put` = 0) or into the file's; 0: an error. */
static int copy_blocks(
    Coefficients *self, int component, const int32_t *places, Py_ssize_t count, char *blocks, int put)
{
    Py_ssize_t index;
    if (setjmp(self->errors.back))
        return 0;
    for (index = 0; index < count; index++) {
        JBLOCKROW row = row_of(self, component, (JDIMENSION)places[2 * index], put ? TRUE : FALSE);
        JCOEF *block = row[places[2 * index + 1]];
        char *copy = blocks + index * BLOCK_BYTES;
        memcpy(put ? (void *)block : (void *)copy, put ? (void *)copy : (void *)block, sizeof(JBLOCK));
    }
    return 1;
}

static int is_free(Coefficients *self)
{
    if (!self->busy)
        return 1;
    PyErr_SetString(PyExc_RuntimeError, "another thread works on these coefficients");
    return 0;
}

static int has_component(Coefficients *self, int component)
{
    if (component >= 0 && component < self->info.num_components)
        return 1;
    PyErr_SetString(PyExc_IndexError, "there is no such component");
    return 0;
}

/* The number of places in `places` (pairs of int32: row, column), all of which exist; -1 with an exception. */
static Py_ssize_t checked_places(Coefficients *self, int component, const Py_buffer *places)
{
    const jpeg_component_info *info = &self->info.comp_info[component];
    const int32_t *pairs = places->buf;
    Py_ssize_t index, count = places->len / (2 * (Py_ssize_t)sizeof(int32_t));
    if (places->len % (2 * (Py_ssize_t)sizeof(int32_t)) != 0) {
        PyErr_SetString(PyExc_ValueError, "places are pairs of int32");
        return -1;
    }
    for (index = 0; index < count; index++) {
        int32_t row = pairs[2 * index], column = pairs[2 * index + 1];
        if (row < 0 || column < 0 || (JDIMENSION)row >= info->height_in_blocks ||
            (JDIMENSION)column >= info->width_in_blocks) {
            PyErr_SetString(PyExc_IndexError, "there is no such block");
            return -1;
        }
    }
    return count;
}

static PyObject *coefficients_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    Py_buffer data;
    Coefficients *self;
    int read;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    if (keywords != NULL && PyDict_Size(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "the file's bytes are the only argument");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "y*", &data))
        return NULL;
    self = (Coefficients *)allocate(type, 0);
    if (self == NULL) {
        PyBuffer_Release(&data);
        return NULL;
    }
    set_up_errors(&self->errors);
    self->info.err = &self->errors.base;
    Py_BEGIN_ALLOW_THREADS
    read = read_all(self, data.buf, (size_t)data.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    if (!read) {
        raise_error(&self->errors);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void coefficients_dealloc(PyObject *object)
{
    Coefficients *self = (Coefficients *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    if (self->created)
        jpeg_destroy_decompress(&self->info);
    release(object);
    Py_DECREF(type);
}

static PyObject *coefficients_components(PyObject *object, PyObject *unused)
{
    Coefficients *self = (Coefficients *)object;
    PyObject *all = PyTuple_New(self->info.num_components);
    int index;
    (void)unused;
    if (all == NULL)
        return NULL;
    for (index = 0; index < self->info.num_components; index++) {
        const jpeg_component_info *info = &self->info.comp_info[index];
        PyObject *one = Py_BuildValue(
            "IIiiy#", info->height_in_blocks, info->width_in_blocks, info->v_samp_factor, info->h_samp_factor,
            (const char *)info->quant_table->quantval, (Py_ssize_t)sizeof(info->quant_table->quantval));
        if (one == NULL || PyTuple_SetItem(all, index, one) < 0) {
            Py_DECREF(all);
            return NULL;
        }
    }
    return all;
}

static PyObject *coefficients_get(PyObject *object, PyObject *args)
{
    Coefficients *self = (Coefficients *)object;
    Py_buffer places;
    PyObject *blocks = NULL;
    Py_ssize_t count;
    int component;
    if (!PyArg_ParseTuple(args, "iy*", &component, &places))
        return NULL;
    if (is_free(self) && has_component(self, component)) {
        count = checked_places(self, component, &places);
        if (count >= 0)
            blocks = PyByteArray_FromStringAndSize(NULL, count * BLOCK_BYTES);
        if (blocks != NULL &&
            !copy_blocks(self, component, places.buf, count, PyByteArray_AsString(blocks), 0)) {
            Py_DECREF(blocks);
            blocks = raise_error(&self->errors);
        }
    }
    PyBuffer_Release(&places);
    return blocks;
}

static PyObject *coefficients_put(PyObject *object, PyObject *args)
{
    Coefficients *self = (Coefficients *)object;
    Py_buffer places, blocks;
    PyObject *result = NULL;
    Py_ssize_t count;
    int component;
    if (!PyArg_ParseTuple(args, "iy*y*", &component, &places, &blocks))
        return NULL;
    if (is_free(self) && has_component(self, component)) {
        count = checked_places(self, component, &places);
        if (count >= 0 && count * BLOCK_BYTES != blocks.len)
            PyErr_SetString(PyExc_ValueError, "a block is 64 times int16");
        else if (count >= 0 && !copy_blocks(self, component, places.buf, count, blocks.buf, 1))
            raise_error(&self->errors);
        else if (count >= 0)
            result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&places);
    PyBuffer_Release(&blocks);
    return result;
}

static PyObject *coefficients_write(PyObject *object, PyObject *args)
{
    Coefficients *self = (Coefficients *)object;
    struct output output;
    struct errors errors;
    PyObject *written;
    int optimised, done;
    if (!PyArg_ParseTuple(args, "p", &optimised) || !is_free(self))
        return NULL;
    memset(&output, 0, sizeof(output));
    set_up_errors(&errors);
    self->busy = 1;
    Py_BEGIN_ALLOW_THREADS
    done = write_all(self, &output, &errors, optimised);
    Py_END_ALLOW_THREADS
    self->busy = 0;
    written = done ? PyBytes_FromStringAndSize((char *)output.bytes, (Py_ssize_t)output.size) : raise_error(&errors);
    jpeg_destroy_compress(&output.info);
    free(output.bytes);
    return written;
}

static PyObject *coefficients_equal(PyObject *object, PyObject *args)
{
    Coefficients *self = (Coefficients *)object, *other;
    const jpeg_component_info *mine, *others;
    PyObject *other_object;
    Py_buffer left_out;
    int component, equal = -1;
    if (!PyArg_ParseTuple(args, "O!iy*", Py_TYPE(object), &other_object, &component, &left_out))
        return NULL;
    other = (Coefficients *)other_object;
    if (is_free(self) && is_free(other) && has_component(self, component) && has_component(other, component)) {
        mine = &self->info.comp_info[component];
        others = &other->info.comp_info[component];
        if ((size_t)left_out.len != (size_t)mine->height_in_blocks * mine->width_in_blocks)
            PyErr_SetString(PyExc_ValueError, "there is one byte for each block");
        else if (mine->height_in_blocks != others->height_in_blocks || mine->width_in_blocks != others->width_in_blocks)
            equal = 0;
        else {
            self->busy = other->busy = 1;
            Py_BEGIN_ALLOW_THREADS
            equal = equal_blocks(self, other, component, left_out.buf);
            Py_END_ALLOW_THREADS
            self->busy = other->busy = 0;
            if (equal < 0)
                raise_error(&self->errors);
        }
    }
    PyBuffer_Release(&left_out);
    return equal < 0 ? NULL : PyBool_FromLong(equal);
}

static PyMethodDef coefficients_methods[] = {
    {"components", coefficients_components, METH_NOARGS,
     "Rows and columns of blocks, sampling down and across, and the table (64 uint16) of each component."},
    {"get", coefficients_get, METH_VARARGS, "The blocks (64 int16) of a component at places (pairs of int32)."},
    {"put", coefficients_put, METH_VARARGS, "Replace the blocks of a component at places."},
    {"write", coefficients_write, METH_VARARGS, "The file, sequential, with the best Huffman tables or the standard's."},
    {"equal", coefficients_equal, METH_VARARGS, "Whether a component's blocks equal another's but for those left out."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot coefficients_slots[] = {
    {Py_tp_doc, "A JPEG's DCT coefficients; one thread at a time works on them."},
    {Py_tp_new, coefficients_new},
    {Py_tp_dealloc, coefficients_dealloc},
    {Py_tp_methods, coefficients_methods},
    {0, NULL},
};

static PyType_Spec coefficients_spec = {
    .name = "model.imaging.formats._dct.Coefficients",
    .basicsize = sizeof(Coefficients),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = coefficients_slots,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_dct",
    .m_doc = "A JPEG's DCT coefficients in memory, by libjpeg.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__dct(void)
{
    PyObject *made = PyModule_Create(&module), *type;
    if (made == NULL)
        return NULL;
    type = PyType_FromSpec(&coefficients_spec);
    if (type == NULL || PyModule_AddObjectRef(made, "Coefficients", type) < 0) {
        Py_XDECREF(type);
        Py_DECREF(made);
        return NULL;
    }
    Py_DECREF(type);
    return made;
}
