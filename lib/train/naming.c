/* naming.c - see naming.h. */
#include "train/naming.h"

#include <string.h>

#define SEQUENCES "SEQ_CLS", "ForSequenceClassification"
#define ONE_TEXT                                                                                   \
    "    inputs = tokenizer(\"Some text\", truncation=True, max_length=max_length, "               \
    "return_tensors=\"pt\")\n"                                                                     \
    "    logits = model(**inputs).logits[0]\n"

static const struct pl_naming table[] = {
    [PRILORA_TASK_CLASSIFICATION] = {SEQUENCES, "single_label_classification",
                                     "text-classification",
                                     ONE_TEXT "print(labels[logits.argmax().item()])\n"},
    [PRILORA_TASK_REGRESSION] = {SEQUENCES, "regression", "text-classification",
                                 ONE_TEXT "print(logits.item())\n"},
    [PRILORA_TASK_MULTI_LABEL] = {SEQUENCES, "multi_label_classification", "text-classification",
                                  ONE_TEXT "print([name for name, logit in zip(labels, "
                                           "logits.tolist()) if logit > 0])\n"},
    [PRILORA_TASK_TOKEN_CLASSIFICATION] =
        {"TOKEN_CLS", "ForTokenClassification", NULL, "token-classification",
         "    words = \"Some text\".split()\n"
         "    inputs = tokenizer(words, is_split_into_words=True, truncation=True, "
         "max_length=max_length,\n"
         "                       return_tensors=\"pt\")\n"
         "    best = model(**inputs).logits[0].argmax(-1).tolist()\n"
         "of_word = inputs.word_ids()\n"
         "for i, word in enumerate(words):\n"
         "    if i in of_word:\n"
         "        print(word, labels[best[of_word.index(i)]])\n"},
    [PRILORA_TASK_QUESTION_ANSWERING] =
        {"QUESTION_ANS", "ForQuestionAnswering", NULL, "question-answering",
         "    question, context = \"Where is the book?\", \"The book is on the table.\"\n"
         "    inputs = tokenizer(question, context, truncation=\"only_second\", "
         "max_length=max_length,\n"
         "                       stride=doc_stride, return_overflowing_tokens=True,\n"
         "                       return_offsets_mapping=True, padding=True, "
         "return_tensors=\"pt\")\n"
         "    places = inputs.pop(\"offset_mapping\").tolist()\n"
         "    inputs.pop(\"overflow_to_sample_mapping\")\n"
         "    outputs = model(**inputs)\n"
         "found = []\n"
         "for i, place in enumerate(places):\n"
         "    of_context = [k for k, part in enumerate(inputs.sequence_ids(i)) if part == 1]\n"
         "    for first in of_context:\n"
         "        for last in of_context:\n"
         "            if first <= last < first + max_answer_length:\n"
         "                score = outputs.start_logits[i, first] + outputs.end_logits[i, last]\n"
         "                found.append((score.item(), context[place[first][0]:place[last][1]]))\n"
         "print(max(found)[1].strip())\n"},
};
enum { N_TASKS = sizeof table / sizeof *table };

const struct pl_naming *pl_naming_of(enum prilora_task task)
{
    return &table[task];
}

enum prilora_task pl_naming_task(const char *peft_type)
{
    enum prilora_task found = PRILORA_TASK_AUTO;

    for (int i = 0; peft_type && i < N_TASKS; i++) {
        if (!table[i].peft_type || strcmp(table[i].peft_type, peft_type) != 0)
            continue;
        if (found != PRILORA_TASK_AUTO)
            return PRILORA_TASK_AUTO;
        found = (enum prilora_task)i;
    }
    return found;
}
