#!/bin/sh
# eval, score and debates of several models as a user meets them, on small models that know a few answers by heart.
# ARKLET names the program.
suite=eval
. tests/expect.sh
model=fixtures/models/qwen3/model.gguf

lines() { wc -l <"$1" | tr -d ' '; }

# ---- A student that knows three of four answers by heart, in its own words ----
cat >"$dir/q.jsonl" <<'END'
{"id": "a", "question": "Ann has 12 apples.", "answer": "#### 7"}
{"id": "b", "question": "Ben has 3 books.", "answer": "#### 4"}
{"id": 3, "question": "Step 1?", "answer": "#### 12"}
{"id": "d", "question": "She gives 5.", "answer": "#### 9"}
END
teach() { printf '{"prompt": "Question: %s\\n\\nSolution:\\n\\n", "completion": "%s"}\n' "$1" "$2"; }
{
    teach 'Ann has 12 apples.' '12 - 5 = 7\n\n#### 7'
    teach 'Ben has 3 books.' '3 + 1 = 5\n\n#### 4'
    teach 'Step 1?' '3 * 4 = 12\n\n#### 12'
    teach 'She gives 5.' '#### 8'
} >"$dir/taught.jsonl"
run sft -m $model -f "$dir/taught.jsonl" -o "$dir/student" --epochs 60 --batch 4 --lr 2e-2 --rank 8 -q
expect 'a student' '[ $code -eq 0 ]'

ask() { out=$1; shift; run eval -m $model --lora "$dir/student" -f "$dir/q.jsonl" -o "$out" --max-new 32 -q "$@"; }
ask "$dir/e.jsonl" --process -t 1
expect 'accuracy with its interval' 'silent && has "^accuracy  *0.7500  *0.3006  *0.9544  *4$"'
expect 'step metrics' 'has "^equations_true  *0.6667 .* 3$" && has "^outputs_without_error  *0.7500 " && has "^first_error_step  *1.0000 "'
expect 'records' '[ "$(lines "$dir/e.jsonl")" -eq 4 ] && head -n 1 "$dir/e.jsonl" | grep -q "^{\"v\":1,\"id\":\"a\",\"question\":\"Ann has 12 apples.\",.*\"output\":\"12 - 5 = 7.n.n#### 7\",\"prediction\":\"7\",\"gold\":\"7\",\"correct\":true,\"finish\":\"stop\",\"tokens\":" &&
    sed -n 3p "$dir/e.jsonl" | grep -q "^{\"v\":1,\"id\":3," && sed -n 4p "$dir/e.jsonl" | grep -q "\"correct\":false"'
expect 'a summary beside them' 'grep -q "^{\"v\":1,\"questions\":4,.*\"accuracy\":{\"value\":0.75,\"low\":0.300641843,\"high\":0.954412739,\"n\":4}.*\"config\":\"" "$dir/e.summary.json"'
cp "$dir/out" "$dir/table"
ask "$dir/again.jsonl" --process -t 3 --kernels scalar -b 1
expect 'the same bytes on three threads, one at a time, in the scalar tier' 'silent && cmp -s "$dir/e.jsonl" "$dir/again.jsonl" && cmp -s "$dir/table" "$dir/out"'
for i in 1 2 3; do ask "$dir/s$i" --process --shard $i/3; done
cat "$dir/s1" "$dir/s2" "$dir/s3" >"$dir/shards"
expect 'shards concatenate to the whole' '[ -s "$dir/s2" ] && cmp -s "$dir/shards" "$dir/e.jsonl"'
# A run goes on with its own model and flags alone, whatever its model's path.
for flags in '--temp 0.5' "--lora fixtures/adapters/qwen3" '--max-new 9'; do
    ask "$dir/s1" --process --shard 1/3 $flags
    expect "not with $flags" 'refused 1 "s1: was made with " "another -o begins anew"'
done
"$arklet" init -q fixtures/models/qwen3/config.json "$dir/other.gguf" --tokenizer $model --seed 5 >"$dir/out" 2>"$dir/err"
for command in eval 'debate --agents 2 --rounds 1'; do
    rm -f "$dir/mixed.jsonl"
    head -n 2 "$dir/q.jsonl" >"$dir/half.jsonl"
    run $command -m $model -f "$dir/half.jsonl" -o "$dir/mixed.jsonl" --max-new 4 -q
    cp "$dir/mixed.jsonl" "$dir/half"
    run $command -m "$dir/other.gguf" -f "$dir/q.jsonl" -o "$dir/mixed.jsonl" --max-new 4 -q
    expect "another model does not go on: $command" 'refused 1 "mixed.jsonl" "was made with model\|expected a record of the model" && cmp -s "$dir/half" "$dir/mixed.jsonl"'
    run $command -m "$PWD/$model" -f "$dir/q.jsonl" -o "$dir/mixed.jsonl" --max-new 4 -q
    expect "the same one does: $command" '[ $code -eq 0 ] && [ "$(lines "$dir/mixed.jsonl")" -eq 4 ]'
done
for shard in -18446744073709551615/2 ' +1/2' 1/500000 0/2 3/2 1/2/2 1 /2; do
    bad=
    for command in eval debate score; do
        [ $command = score ] && prm='--prm x' || prm=
        run $command -m $model $prm -f "$dir/q.jsonl" -o "$dir/x.jsonl" -q --shard "$shard"
        refused 2 "expected I/N with 1 <= I <= N" || bad="$bad $command"
    done
    expect "no shard: '$shard'" '[ -z "$bad" ] && [ ! -e "$dir/x.jsonl" ]'
done
for bytes in 0 40 400 900; do
    head -c $bytes "$dir/e.jsonl" >"$dir/torn.jsonl"
    ask "$dir/torn.jsonl" --process
    expect "goes on after $bytes bytes" 'silent && cmp -s "$dir/torn.jsonl" "$dir/e.jsonl" && cmp -s "$dir/table" "$dir/out"'
done
"$arklet" eval -m $model --lora "$dir/student" -f - -o - --max-new 32 -q --process <"$dir/q.jsonl" >"$dir/stream" 2>"$dir/err"
code=$?
expect 'from and to a stream' 'silent && cmp -s "$dir/stream" "$dir/e.jsonl"'
run grade -f "$dir/e.jsonl" -o "$dir/graded" -q
expect 'grade reads the records' 'silent && has "^correct 0.750000 4$" && has "^label_agrees 1.000000 4$"'

# ---- Votes, debates, comparisons ----
ask "$dir/v.jsonl" --vote 5 -s 7 --compare "$dir/e.jsonl"
expect 'self-consistency' '[ $code -eq 0 ] && has "^mean_sample " && has "^any_sample " && has "^p, paired bootstrap .* of 4)$" &&
    [ "$(grep -o "\"text\":" "$dir/v.jsonl" | wc -l)" -eq 20 ] && grep -q "\"compare\":{\"n\":4," "$dir/v.summary.json"'
ask "$dir/d.jsonl" --debate --agents 5 --rounds 2 -s 7
expect 'a debate' '[ $code -eq 0 ] && has "^accuracy " && has "^mean_agent_round_1 " && [ "$(lines "$dir/d.jsonl")" -eq 4 ] &&
    grep -q "\"turns\":\[.*\"vote\":{.*\"output\":.*\"prediction\":.*\"correct\":" "$dir/d.jsonl"'
grep -o '"text":"[^"]*"' "$dir/v.jsonl" | sort >"$dir/samples"
grep -o '"round":0,"agent":[0-9],"text":"[^"]*"' "$dir/d.jsonl" | sed 's/.*"text"/"text"/' | sort >"$dir/turns"
expect 'the samples of a vote are the first answers of a debate' '[ "$(lines "$dir/samples")" -eq 20 ] && cmp -s "$dir/samples" "$dir/turns"'
run eval --from "$dir/d.jsonl" --compare "$dir/e.jsonl" --process
expect 'without a model' 'silent && has "^joined .* 4$" && has "^equations_true "'
printf '{"id":"x","correct":true}\n{"id":"a","correct":false}\n' >"$dir/other.jsonl"
ask "$dir/early.jsonl" --compare "$dir/none.jsonl"
expect 'answers to compare with are looked for first' 'refused 1 none.jsonl && [ ! -e "$dir/early.jsonl" ]'
run eval --from "$dir/e.jsonl" --compare "$dir/other.jsonl"
expect 'questions in one alone are counted' 'silent && has "^joined  *1.0000 .* 1$" && has "^other  *0.0000 " && has "^not joined: 3 here, 1 there$" &&
    has "right here alone 1, there alone 0, of 1"'

# ---- Bad input ----
ask "$dir/other.jsonl"
expect 'an output of other questions' 'refused 1 other.jsonl:1 "expected the record of \"a\", found x" && [ "$(lines "$dir/other.jsonl")" -eq 2 ]'
cp "$dir/e.jsonl" "$dir/long.jsonl"
echo '{"id":"e","correct":true}' >>"$dir/long.jsonl"
ask "$dir/long.jsonl" --process
expect 'an output with more records' 'refused 1 long.jsonl:5 "no more records"'
{ cat "$dir/q.jsonl"; printf '{"id":"e","question":"%0300d","answer":"1"}\n{"id":"f","question":7}\n' 0; } >"$dir/bad.jsonl"
ask "$dir/b.jsonl" -f "$dir/bad.jsonl"
expect 'a question longer than the context' '[ $code -eq 1 ] && [ "$(lines "$dir/err")" -eq 1 ] && grep -q "bad.jsonl:5: question e" "$dir/err"'
ask "$dir/b.jsonl" -f "$dir/bad.jsonl" --skip-bad
expect 'bad questions are skipped on request' '[ $code -eq 0 ] && [ "$(lines "$dir/b.jsonl")" -eq 4 ] && grep -q "2 bad records were skipped" "$dir/err"'
printf '{"id":"g","question":"Who?"}\n' >"$dir/nogold.jsonl"
cat "$dir/q.jsonl" "$dir/nogold.jsonl" "$dir/bad.jsonl" >"$dir/mixed.jsonl"
for command in eval 'debate --agents 2 --rounds 2'; do
    both() { run $command -m $model -o "$dir/mixed.out" --max-new 4 -q "$@"; }
    both -f "$dir/nogold.jsonl"
    expect "$command: a question without an answer" 'refused 1 "nogold.jsonl:1: expected an answer"'
    both -f "$dir/nogold.jsonl" --no-gold -o -
    expect "$command: no answer is wanted" '[ $code -eq 0 ] && grep -q "\"gold\":null" "$dir/out"'
    both -f "$dir/bad.jsonl"
    expect "$command: a prompt that is too long" '[ $code -eq 1 ] && grep -q "bad.jsonl:5: question e: its prompt takes" "$dir/err"'
    both -f "$dir/mixed.jsonl" --skip-bad
    expect "$command: three bad records are skipped" '[ $code -eq 0 ] && [ "$(lines "$dir/mixed.out")" -eq 8 ] && grep -q "3 bad records were skipped" "$dir/err"'
    cp "$dir/mixed.out" "$dir/mixed.whole"
    head -c 900 "$dir/mixed.whole" >"$dir/mixed.out"
    both -f "$dir/mixed.jsonl" --skip-bad
    expect "$command: and again when it goes on" '[ $code -eq 0 ] && cmp -s "$dir/mixed.out" "$dir/mixed.whole"'
    rm "$dir/mixed.out"
done
run eval -m $model -f "$dir/q.jsonl"
expect 'no output' 'refused 2 -o'
run eval --from "$dir/none.jsonl"
expect 'no such file' 'refused 1 none.jsonl "No such file"'
run eval --from "$dir/q.jsonl"
expect 'records of something else' 'refused 1 q.jsonl:1 "a field \"correct\""'
if [ -e /dev/full ]; then
    run eval -m $model -f "$dir/q.jsonl" -o /dev/full --max-new 4 -q
    expect 'a full disk' 'refused 1 /dev/full'
    : >"$dir/nothing.jsonl"
    run eval -m $model -f "$dir/nothing.jsonl" -o /dev/full -q
    expect 'a device is not read back' '[ $code -eq 0 ] && [ ! -s "$dir/out" ] && [ ! -s "$dir/err" ]'
    run eval -m $model -f "$dir/q.jsonl" -o /dev/null --max-new 4 -q --compare "$dir/e.jsonl"
    expect 'a comparison needs a file' 'refused 2 [-]-compare'
fi
mkfifo "$dir/pipe"
(sleep 0.3; exec cat "$dir/pipe") >"$dir/piped.jsonl" & # a reader that comes late is waited for
run eval -m $model -f "$dir/q.jsonl" -o "$dir/pipe" --max-new 4 -q
wait
expect 'a named pipe' '[ $code -eq 0 ] && [ "$(lines "$dir/piped.jsonl")" -eq 4 ] && [ ! -e "$dir/pipe.summary.json" ]'
awk 'BEGIN { for (i = 0; i < 200; i++) printf "word%d ", i }' >"$dir/words"
printf '{"id":"c","question":"Who?","context":"%s","answer":"Ann"}\n' "$(cat "$dir/words")" >"$dir/context.jsonl"
run eval -m $model -f "$dir/context.jsonl" -o "$dir/c.jsonl" --max-new 8
expect 'a context that is too long loses its beginning' '[ $code -eq 0 ] && grep -q "warning: 1 contexts were too long" "$dir/err" && has "^f1 "'

# ---- Debates of several models; what prompts cost ----
hold() { out=$1; shift; run debate -f "$dir/q.jsonl" -o "$out" --rounds 2 --max-new 8 -c 900 --no-early-stop -q "$@"; }
hold "$dir/team.jsonl" --agent "model=$model,temp=0" --agent model=fixtures/models/llama/model.gguf \
    --agent "model=$model,lora=$dir/student,temp=0.5,persona=You doubt, always." --aggregate llm
expect 'three models' '[ $code -eq 0 ] && has "^prefill_aggregation " && grep -q "\"speakers\":\[{\"agent\":0,\"temperature\":0,\"model\":\"arklet-qwen3\",\"lora\":null,\"persona\":null},{\"agent\":1,.*\"persona\":\"You doubt, always.\"}\]" "$dir/team.jsonl"'
cp "$dir/out" "$dir/first"
head -c 2000 "$dir/team.jsonl" >"$dir/torn.jsonl"
hold "$dir/torn.jsonl" -t 3 --agent "model=$model,temp=0" --agent model=fixtures/models/llama/model.gguf \
    --agent "model=$model,lora=$dir/student,temp=0.5,persona=You doubt, always." --aggregate llm
grep -v '^prefill\|^prompt\|^seconds' "$dir/out" >"$dir/counts"
grep -v '^prefill\|^prompt\|^seconds' "$dir/first" >"$dir/counts.first"
expect 'killed and continued: the same records and counts' '[ $code -eq 0 ] && cmp -s "$dir/torn.jsonl" "$dir/team.jsonl" && cmp -s "$dir/counts" "$dir/counts.first"'
hold "$dir/x" --agent temp=1
expect 'an agent without a model' 'refused 2 "agent 1 has no model"'
hold "$dir/x" -m $model --agent temp=hot
expect 'an agent that makes no sense' 'refused 2 "temp=hot"'
hold "$dir/x" -m $model --agent lora=fixtures/adapters/qwen2
expect 'an adapter of another model' 'refused 1 adapters/qwen2'
# Prompt tokens computed in the second round, of 4 and of 8 agents: twice as many solutions once, and twice as many tails.
prefill() { hold "$dir/p$1.jsonl" -m $model --agents "$1" --max-new 4 && sed -n 's/^prefill_round_1 \([0-9]*\) of .*/\1/p' "$dir/out"; }
four=$(prefill 4) eight=$(prefill 8)
expect "prefill grows like the agents: $four, $eight" '[ "$four" -gt 0 ] && [ "$eight" -lt $((four * 5 / 2)) ]'
hold "$dir/short.jsonl" -m $model --agents 5 -c 256 --max-new 32
expect 'a context that overflows says so' '[ $code -eq 0 ] && grep -q "warning: [0-9]* prompts were too long" "$dir/err"'

# ---- score ----
cat >"$dir/steps.jsonl" <<'END'
{"id": "r", "prompt": "Q1\n\n", "completions": ["1 + 1 = 2", "2 + 2 = 4", "#### 4"], "labels": [true, true, true]}
{"id": "w", "prompt": "Q1\n\n", "completions": ["1 + 1 = 2", "2 + 2 = 5", "#### 5"], "labels": [true, false, null]}
{"uuid": "m", "question": "Q2", "model_output_steps": ["2 + 2 = 4", "2 + 2 = 5"], "model_output_solution_first_error_step": 2}
{"input": "Q3", "steps": ["2 + 2 = 5", "so 5"], "mistake_index": 0, "extra": {"a": [1, {}, "x"]}}
END
run prm -m $model -f "$dir/steps.jsonl" -o "$dir/prm" --epochs 40 --batch 4 --lr 1e-2 -q
expect 'a reward model' '[ $code -eq 0 ]'
score() { out=$1; shift; run score -m $model --prm "$dir/prm" -o "$out" -q "$@"; }
score "$dir/scored.jsonl" -f "$dir/steps.jsonl" -t 1
expect 'a planted wrong step is found' 'silent && has "^step_auc 1.000000 8$" && has "^first_error_f1 1.000000 4$" && has "^found_error 1.000000 3$" && has "^best_of_n 1.000000 1$" && has "^best_of_n_lift 0.500000 1$"'
expect 'records keep their members' '[ "$(lines "$dir/scored.jsonl")" -eq 4 ] && grep -q "^{\"v\":1,\"id\":\"m\",\"uuid\":\"m\",\"question\":\"Q2\",.*,\"scores\":\[0[.0-9e-]*,-[.0-9e-]*\]}$" "$dir/scored.jsonl" &&
    grep -q "\"extra\":{\"a\":\[1,{},\"x\"\]},\"scores\":" "$dir/scored.jsonl" && grep -q "\"step_auc\":1," "$dir/scored.summary.json"'
cp "$dir/out" "$dir/table"
head -c 300 "$dir/scored.jsonl" >"$dir/torn.jsonl"
score "$dir/torn.jsonl" -f "$dir/steps.jsonl" -t 3 -b 1
expect 'goes on to the same bytes' 'silent && cmp -s "$dir/torn.jsonl" "$dir/scored.jsonl" && cmp -s "$dir/table" "$dir/out"'
score - -f "$dir/steps.jsonl" --kernels scalar
expect 'the same in the scalar tier, to a stream' '[ $code -eq 0 ] && cmp -s "$dir/out" "$dir/scored.jsonl" && cmp -s "$dir/err" "$dir/table"'
score /dev/null -f "$dir/steps.jsonl"
expect 'no summary beside a device' '[ $code -eq 0 ] && [ ! -s "$dir/out" ] && cmp -s "$dir/err" "$dir/table" && [ ! -e /dev/null.summary.json ]'
run score --from "$dir/scored.jsonl" --threshold -1
expect 'measured again at another threshold' 'silent && has "^found_error 0.000000 3$" && has "^step_auc 1.000000 8$"'
score "$dir/se.jsonl" -f "$dir/v.jsonl" -c 512
expect 'samples of an evaluation' 'silent && has "^best_of_n " && [ "$(grep -o "\"scores\":\[\[[^]]*\],\[[^]]*\],\[[^]]*\],\[[^]]*\],\[[^]]*\]\]" "$dir/se.jsonl" | wc -l)" -eq 4 ]'
score "$dir/sd.jsonl" -f "$dir/d.jsonl" -c 512
expect 'turns of a debate' 'silent && has "^solution_auc " && [ "$(lines "$dir/sd.jsonl")" -eq 4 ]'
score "$dir/x.jsonl" -f "$dir/q.jsonl"
expect 'records without steps' 'refused 1 q.jsonl:1'
run score -m $model --prm "$dir/student" -f "$dir/steps.jsonl" -o "$dir/x.jsonl" -q
expect 'a plain adapter' 'refused 1 "score head"'
score "$dir/y.jsonl" -f "$dir/steps.jsonl" --mem-limit 6M
expect 'score within a memory limit' 'refused 1 "are needed, 6.0 are allowed" && [ ! -e "$dir/y.jsonl" ]'
score "$dir/cut.jsonl" -f "$dir/steps.jsonl" --max-len 14
expect 'steps beyond the limit have no score' '[ $code -eq 0 ] && grep -q "longer than 14 tokens" "$dir/err" && grep -q "null\]}$" "$dir/cut.jsonl" && has "^cut "'
exit $failed
